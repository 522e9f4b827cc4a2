#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace rehyat {

/// The claim of one run on a folder that it writes to. The kernel gives it back when the process ends, however it ends.
///
/// Some network file systems have no locks, or only one of the two kinds that the kernel knows. Where there are none at
/// all, the claim is what the lock's file says: another process of this program on this machine that still runs is
/// refused as ever, and a warning names what cannot be seen, a process of another machine.
class FolderLock {
 public:
  /// Locks an open file without waiting: 0, EWOULDBLOCK where another has it, or another error number.
  using TryLock = int (*)(int file);
  /// The kernel's kinds of locks, of a whole file and of its bytes.
  static std::vector<TryLock> kinds();

  /// Makes the folder where it is missing. Takes the first kind of lock that the file system has. Throws UserError that
  /// names the process and machine at work there.
  explicit FolderLock(const std::filesystem::path& folder, const std::vector<TryLock>& kinds = FolderLock::kinds());
  ~FolderLock();
  FolderLock(FolderLock&& other) noexcept;
  FolderLock& operator=(FolderLock&&) = delete;

 private:
  void claim_by_name(const std::filesystem::path& folder, int error);

  int fd_ = -1;
  bool by_name_ = false;  ///< without a lock of the kernel
};

}  // namespace rehyat
