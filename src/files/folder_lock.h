#pragma once

#include <filesystem>

namespace rehyat {

/// The claim of one run on a folder that it writes to. The kernel gives it back when the process ends, however it ends.
/// On a file system without locks (some NFS) the claim is empty and a warning says so.
class FolderLock {
 public:
  /// Makes the folder where it is missing. Throws UserError that names the process and machine at work there.
  explicit FolderLock(const std::filesystem::path& folder);
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;

 private:
  int fd_ = -1;
};

}  // namespace rehyat
