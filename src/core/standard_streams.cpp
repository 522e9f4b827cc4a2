#include "core/standard_streams.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <iostream>

#include "core/error.h"
#include "core/strings.h"
#include "core/system_reason.h"

namespace rehyat {
namespace {

[[noreturn]] void fail_to_print(int error) {
  throw UserError(cat("stdout: the result cannot be written: ", system_reason(error, Access::write)));
}

}  // namespace

void hold_standard_streams() {
  for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
    if (::fcntl(stream, F_GETFD) >= 0 || errno != EBADF) continue;
    // The lowest free number is taken, which is this one: those below it are open.
    const int opened = ::open("/dev/null", stream == STDIN_FILENO ? O_RDONLY : O_WRONLY);
    if (opened >= 0 && opened != stream) ::close(opened);
  }
}

void print_result(std::string_view text) {
  errno = 0;
  std::cout.flush();
  if (!std::cout || std::fflush(stdout) != 0) fail_to_print(errno != 0 ? errno : EIO);
  while (!text.empty()) {
    const ssize_t written = ::write(STDOUT_FILENO, text.data(), text.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      fail_to_print(errno);
    }
    text.remove_prefix(static_cast<std::size_t>(written));
  }
}

}  // namespace rehyat
