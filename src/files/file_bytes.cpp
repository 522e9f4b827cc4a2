#include "files/file_bytes.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "core/system_reason.h"

namespace rehyat {

FileBytes::FileBytes(std::filesystem::path path) : path_(std::move(path)) {
  file_ = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC);
  if (file_ < 0) throw UserError(cat(path_.string(), ": cannot be read: ", system_reason(errno, Access::read)));
  struct stat info = {};
  const bool regular = ::fstat(file_, &info) == 0 && S_ISREG(info.st_mode);
  if (!regular) {
    ::close(std::exchange(file_, -1));
    throw UserError(Mistake{path_.string(), "not a regular file", "one", ""});
  }
  size_ = static_cast<std::uint64_t>(info.st_size);
}

FileBytes::~FileBytes() {
  if (file_ >= 0) ::close(file_);
}

FileBytes::FileBytes(FileBytes&& other) noexcept
    : path_(std::move(other.path_)), file_(std::exchange(other.file_, -1)), size_(other.size_) {}

std::ptrdiff_t FileBytes::read(std::uint64_t at, void* to, std::size_t bytes) const {
  std::size_t have = 0;
  while (have < bytes) {
    const ssize_t count = ::pread(file_, static_cast<char*>(to) + have, bytes - have, static_cast<off_t>(at + have));
    if (count < 0 && errno == EINTR) continue;
    if (count < 0) return -errno;
    if (count == 0) break;
    have += static_cast<std::size_t>(count);
  }
  return static_cast<std::ptrdiff_t>(have);
}

void FileBytes::read_all(std::uint64_t at, void* to, std::size_t bytes) const {
  const std::ptrdiff_t have = read(at, to, bytes);
  if (have == static_cast<std::ptrdiff_t>(bytes)) return;
  throw UserError(Mistake{path_.string(),
                          have < 0 ? system_reason(static_cast<int>(-have), Access::read)
                                   : cat("the end of the file after ", at + static_cast<std::uint64_t>(have), " bytes"),
                          cat(bytes, " bytes from ", at, " on"), "was it cut short or changed meanwhile?"});
}

}  // namespace rehyat
