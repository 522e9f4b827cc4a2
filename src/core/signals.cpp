#include "core/signals.h"

#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <csignal>
#include <initializer_list>

namespace rehyat {
namespace {

std::atomic<bool> stopping{false};
static_assert(std::atomic<bool>::is_always_lock_free, "a signal handler may only touch lock-free atomics");

std::atomic<bool> announcing{true}, on_terminal{false};

extern "C" void on_stop_signal(int signal) {
  if (stopping.exchange(true)) {
    if (signal == SIGINT) _exit(128 + SIGINT);
    return;
  }
  if (!announcing) return;
  const int before = errno;
  // A bar of progress may be open on this line.
  constexpr char kText[] =
      "\r\033[Krehyat: asked to stop; the run stops after the present step (Ctrl-C once more ends it at once)\n";
  const std::size_t skip = on_terminal ? 0 : 4;
  [[maybe_unused]] const ssize_t written = ::write(STDERR_FILENO, kText + skip, sizeof kText - 1 - skip);
  errno = before;
}

}  // namespace

void install_stop_signals(bool announce) {
  announcing = announce;
  on_terminal = isatty(STDERR_FILENO) == 1;
  struct sigaction action = {};
  action.sa_handler = on_stop_signal;
  action.sa_flags = SA_RESTART;
  for (const int signal : {SIGINT, SIGTERM, SIGUSR1}) sigaction(signal, &action, nullptr);
}

void silence_stop_signals() {
  announcing = false;
}

void ignore_file_size_signal() {
  std::signal(SIGXFSZ, SIG_IGN);
}

bool stop_requested() {
  return stopping.load();
}

}  // namespace rehyat
