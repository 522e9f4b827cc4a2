#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace rehyat {

/// A file that is whole or absent: written under a temporary name in the same folder; `commit` flushes it to the disk,
/// renames it and flushes the folder. Without `commit` the destructor removes it. Throws UserError with path and reason
/// (no space, no right, not a folder).
class AtomicFile {
 public:
  explicit AtomicFile(std::filesystem::path path);
  ~AtomicFile();
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;

  void write(const void* data, std::size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  /// The file to be written by a library that opens files by name; it must have closed it before `commit`.
  const std::filesystem::path& temporary() const { return temporary_; }
  void commit();

 private:
  std::filesystem::path path_, temporary_;
  int fd_ = -1;
};

void write_file_atomic(const std::filesystem::path& path, std::string_view content);
/// The same for notes beside results: a file that holds these bytes already is not touched, so that what is complete
/// is also found where nothing may be written.
void keep_file(const std::filesystem::path& path, std::string_view content);
/// All bytes of a file. Throws UserError when it is missing, a folder, unreadable or larger than `limit` bytes.
std::string read_file(const std::filesystem::path& path, std::uint64_t limit = std::uint64_t{1} << 30);
/// Flushes a folder to the disk, so that names changed in it outlive a power cut. Throws UserError when that fails;
/// does nothing on a file system that flushes no folders.
void flush_folder(const std::filesystem::path& folder);
/// Makes the folder and its parents; throws UserError.
void make_folder(const std::filesystem::path& path);
/// Removes what AtomicFile of a killed process left in this folder and below. Only for a folder in which nobody else is
/// at work (FolderLock): a live run's half-written files look the same.
void remove_leftovers(const std::filesystem::path& folder);
/// Removes a file, if it is there. Throws UserError with the system's reason.
void remove_file(const std::filesystem::path& path);
/// Removes the files of this folder whose names begin with `start`. Throws UserError.
void remove_files(const std::filesystem::path& folder, std::string_view start);
/// Bytes that are free where the path is or would be made; nothing where the system does not say.
std::optional<std::uint64_t> free_space(const std::filesystem::path& path);
/// Throws UserError unless `bytes` fit on the file system of `path`.
void require_space(const std::filesystem::path& path, std::uint64_t bytes, std::string_view what);

}  // namespace rehyat
