#include "files/folder_lock.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <string>
#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "core/system_reason.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

std::string owner(int fd) {
  std::array<char, 300> text{};
  const ssize_t count = ::pread(fd, text.data(), text.size(), 0);
  return count > 0 ? excerpt(trim({text.data(), static_cast<std::size_t>(count)}), 280) : "an unknown process";
}

}  // namespace

FolderLock::FolderLock(const std::filesystem::path& folder) {
  make_folder(folder);
  const std::filesystem::path path = folder / ".rehyat-lock";  // stays: removing it would race with the next run
  fd_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
  if (fd_ < 0) throw UserError(cat(path.string(), ": cannot be written: ", system_reason(errno, Access::write)));
  int result = 0;
  do {
    result = ::flock(fd_, LOCK_EX | LOCK_NB);
  } while (result != 0 && errno == EINTR);
  if (result != 0) {
    const int error = errno;
    const std::string who = error == EWOULDBLOCK ? owner(fd_) : "";
    ::close(std::exchange(fd_, -1));
    if (error == EWOULDBLOCK)
      throw UserError({folder.string(), "another run at work there (" + who + ")", "none",
                       "wait for it to end, stop it, or use another run.dir"});
    log::warn(folder.string(), ": cannot be locked (", std::strerror(error),
              "); make sure that no other run works in this folder");
    return;
  }
  std::array<char, 256> host{};
  if (::gethostname(host.data(), host.size() - 1) != 0) host[0] = '?';
  const std::string text = cat("process ", ::getpid(), " on ", host.data(), '\n');
  // For the message only: a full disk must not keep the run from saying so in its own words.
  [[maybe_unused]] const bool written =
      ::ftruncate(fd_, 0) == 0 && ::pwrite(fd_, text.data(), text.size(), 0) == static_cast<ssize_t>(text.size());
}

FolderLock::~FolderLock() {
  if (fd_ >= 0) ::close(fd_);
}

FolderLock::FolderLock(FolderLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

}  // namespace rehyat
