#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>

namespace rehyat {

/// An open file of which any part can be read.
class FileBytes {
 public:
  /// Throws UserError where the file cannot be opened or is no regular file.
  explicit FileBytes(std::filesystem::path path);
  ~FileBytes();
  FileBytes(FileBytes&& other) noexcept;
  FileBytes& operator=(FileBytes&&) = delete;

  std::uint64_t size() const { return size_; }
  const std::filesystem::path& path() const { return path_; }
  /// Up to `bytes` from `at` on; fewer at the end of the file, a negative errno where the system fails.
  std::ptrdiff_t read(std::uint64_t at, void* to, std::size_t bytes) const;
  /// Exactly `bytes` from `at` on. Throws UserError where the file is shorter or the system fails.
  void read_all(std::uint64_t at, void* to, std::size_t bytes) const;

 private:
  std::filesystem::path path_;
  int file_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace rehyat
