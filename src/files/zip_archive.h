#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>

#include "files/mapped_file.h"

namespace rehyat {

/// CRC-32 as in zip (polynomial 0xEDB88320).
std::uint32_t crc32(std::span<const std::byte> bytes);

/// A memory-mapped zip archive of stored (uncompressed) entries, zip64 included: the container of torch.save. Opening
/// checks both headers of every entry, that no two share a byte, and that all lie in the file. Compressed or encrypted
/// entries are refused: nothing is ever inflated, so a small file cannot become a large one. Throws UserError with
/// path, entry, found and expected.
class ZipArchive {
 public:
  explicit ZipArchive(const std::filesystem::path& path);

  struct Entry {
    std::uint64_t offset = 0, size = 0;  ///< of the data, in bytes from the start of the file
    std::uint32_t crc = 0;               ///< what the archive says; see check()
  };
  const std::map<std::string, Entry>& entries() const { return entries_; }
  std::span<const std::byte> bytes(const Entry& entry) const { return {file_->data() + entry.offset, entry.size}; }
  /// Reads the entry's bytes and throws UserError if their checksum is not the archive's.
  void check(const std::string& name, const Entry& entry) const;
  const std::string& path() const { return path_; }
  /// Keeps the file mapped for as long as somebody holds it.
  std::shared_ptr<const MappedFile> mapping() const { return file_; }

 private:
  struct Directory {
    std::uint64_t offset = 0, size = 0, count = 0;
  };
  Directory find_directory() const;
  void read_directory(const Directory& directory);
  Entry read_local_header(const std::string& name, std::uint64_t offset, std::uint64_t size, std::uint64_t end) const;
  template <typename T>
  T number(std::uint64_t offset) const;
  std::string text(std::uint64_t offset, std::uint64_t size) const;

  std::string path_;
  std::shared_ptr<const MappedFile> file_;
  std::map<std::string, Entry> entries_;
};

}  // namespace rehyat
