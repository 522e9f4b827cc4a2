#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <string>

namespace rehyat::data {

/// Where the bytes of a clip lie: a whole file, or a stretch of one, such as a member of a tar.
struct ClipFile {
  ClipFile() = default;
  ClipFile(std::filesystem::path whole) : path(std::move(whole)) {}  // NOLINT: a path is a clip
  ClipFile(const char* whole) : path(whole) {}                       // NOLINT
  ClipFile(std::filesystem::path archive, std::string name, std::uint64_t first, std::uint64_t size)
      : path(std::move(archive)), member(std::move(name)), offset(first), bytes(size) {}

  bool whole() const { return member.empty(); }
  /// How messages name it: "clips/a.mp4", "shards/00.tar/a.mp4".
  std::string shown() const { return whole() ? path.string() : path.string() + "/" + member; }

  std::filesystem::path path;
  std::string member;                   ///< its name in the archive; empty = the whole file
  std::uint64_t offset = 0, bytes = 0;  ///< of a member
};

/// An open file that is read at places; move only.
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
  /// All of them. Throws UserError where the file is shorter or the system fails.
  void read_all(std::uint64_t at, void* to, std::size_t bytes) const;

 private:
  std::filesystem::path path_;
  int file_ = -1;
  std::uint64_t size_ = 0;
};

}  // namespace rehyat::data
