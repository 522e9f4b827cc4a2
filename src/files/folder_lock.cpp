#include "files/folder_lock.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <sstream>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "core/system_reason.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

/// Who wrote the lock's file; empty where nobody did.
std::string owner(int file) {
  std::array<char, 300> text{};
  const ssize_t count = ::pread(file, text.data(), text.size(), 0);
  return count > 0 ? excerpt(trim({text.data(), static_cast<std::size_t>(count)}), 280) : "";
}

std::string host_name() {
  std::array<char, 256> host{};
  return ::gethostname(host.data(), host.size() - 1) == 0 ? host.data() : "?";
}

std::string own_name() {
  return cat("process ", ::getpid(), " on ", host_name());
}

/// What the system calls the program that a process runs; empty where it is not known.
std::string program_of(const std::string& process) {
  std::string name;
  std::getline(std::ifstream(cat("/proc/", process, "/comm")), name);
  return name;
}

/// Whether the process of this machine that calls itself so still runs this program.
bool is_running(const std::string& who) {
  std::istringstream words(who);
  std::string word, on, host;
  pid_t process = 0;
  if (!(words >> word >> process >> on >> host) || word != "process" || host != host_name()) return false;
  if (process <= 0 || (::kill(process, 0) != 0 && errno == ESRCH)) return false;
  const std::string program = program_of(cat(process));
  return program.empty() || program == program_of("self");
}

[[noreturn]] void refuse(const std::filesystem::path& folder, const std::string& who) {
  throw UserError({folder.string(), cat("another run at work there (", who.empty() ? "an unknown process" : who, ")"),
                   "none", "wait for it to end, stop it, or use another run.dir"});
}

int lock_whole(int file) {
  int result = 0;
  do {
    result = ::flock(file, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  return result == 0 ? 0 : errno;
}

/// Belongs to the open file, as flock's does: unlike one of F_SETLK it outlives the closing of another handle.
int lock_bytes(int file) {
  struct flock range {};
  range.l_type = F_WRLCK;
  range.l_whence = SEEK_SET;
  if (::fcntl(file, F_OFD_SETLK, &range) == 0) return 0;
  return errno == EACCES || errno == EAGAIN ? EWOULDBLOCK : errno;
}

}  // namespace

std::vector<FolderLock::TryLock> FolderLock::kinds() {
  return {lock_whole, lock_bytes};
}

FolderLock::FolderLock(const std::filesystem::path& folder, const std::vector<TryLock>& kinds) {
  make_folder(folder);
  const std::filesystem::path path = folder / ".rehyat-lock";  // stays: removing it would race with the next run
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) throw UserError(cat(path.string(), ": cannot be written: ", system_reason(errno, Access::write)));
  try {
    int error = ENOLCK;
    for (const TryLock lock : kinds) {
      error = lock(fd_);
      if (error == 0 || error == EWOULDBLOCK) break;
    }
    if (error == EWOULDBLOCK) refuse(folder, owner(fd_));
    if (error != 0) claim_by_name(folder, error);
  } catch (...) {
    ::close(std::exchange(fd_, -1));
    throw;
  }
  const std::string text = own_name() + "\n";
  // For messages: a full disk must not keep the run from saying so in its own words.
  [[maybe_unused]] const bool written =
      ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

void FolderLock::claim_by_name(const std::filesystem::path& folder, int error) {
  const std::string who = owner(fd_);
  if (is_running(who)) refuse(folder, who);
  by_name_ = true;
  log::warn(folder.string(), ": cannot be locked (", system_reason(error, Access::write),
            "); make sure that no other run works in this folder",
            who.empty() ? "" : cat(", such as ", who, ", which did not say that it ended"));
}

FolderLock::~FolderLock() {
  if (fd_ < 0) return;
  // A name that stays says that the process was killed; nothing depends on whether it can be taken away.
  if (by_name_ && ::ftruncate(fd_, 0) != 0) log::debug("the lock's file keeps the name of this process");
  ::close(fd_);
}

FolderLock::FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)), by_name_(other.by_name_) {}

}  // namespace rehyat
