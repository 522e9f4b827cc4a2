#include "files/mapped_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <string>

#include "core/error.h"
#include "core/strings.h"
#include "core/system_reason.h"

namespace rehyat {

MappedFile::MappedFile(const std::filesystem::path& path, std::string_view kind, std::size_t least) {
  const int fd = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  if (fd < 0) throw UserError(cat(path.string(), ": cannot be read: ", system_reason(errno, Access::read)));
  struct stat info = {};
  int error = 0;
  const bool regular = ::fstat(fd, &info) == 0 && S_ISREG(info.st_mode);
  if (regular && info.st_size >= static_cast<off_t>(least)) {
    size_ = static_cast<std::size_t>(info.st_size);
    void* address = ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_NORESERVE, fd, 0);
    if (address == MAP_FAILED)
      error = errno;
    else
      data_ = static_cast<const std::byte*>(address);
  }
  ::close(fd);
  if (!regular) throw UserError({path.string(), "something that is not a regular file", std::string(kind), ""});
  if (size_ == 0)
    throw UserError({path.string(), cat(info.st_size, " bytes"), cat(kind, " of at least ", least, " bytes"),
                     "check that the download is complete"});
  if (data_ == nullptr)
    throw UserError(cat(path.string(), ": cannot be mapped into memory: ", system_reason(error, Access::read)));
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace rehyat
