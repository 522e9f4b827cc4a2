#include "files/zip_archive.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cstring>
#include <vector>

#include "core/error.h"
#include "core/strings.h"
#include "files/file_format.h"

// Field offsets and signatures are those of PKWARE's APPNOTE.TXT, sections 4.3.7 to 4.5.3.
namespace rehyat {
namespace {

constexpr std::uint32_t kEnd = 0x06054b50, kEnd64 = 0x06064b50, kLocator64 = 0x07064b50, kCentral = 0x02014b50,
                        kLocal = 0x04034b50;
constexpr std::uint64_t kEndBytes = 22, kEnd64Bytes = 56, kLocatorBytes = 20, kCentralBytes = 46, kLocalBytes = 30;
constexpr std::uint64_t kLongestComment = 0xFFFF;
constexpr std::uint16_t kZip64Field = 1, kEncrypted = 1, kStored = 0;

constexpr std::size_t kSlices = 8;  // eight bytes a step: an 11 GB file should take seconds
constexpr auto kTable = [] {
  std::array<std::array<std::uint32_t, 256>, kSlices> table{};
  for (std::uint32_t i = 0; i < 256; ++i) {
    std::uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value & 1 ? (value >> 1) ^ 0xEDB88320u : value >> 1;
    table[0][i] = value;
  }
  for (std::size_t slice = 1; slice < kSlices; ++slice) {
    for (std::size_t i = 0; i < 256; ++i)
      table[slice][i] = (table[slice - 1][i] >> 8) ^ table[0][table[slice - 1][i] & 0xFF];
  }
  return table;
}();

}  // namespace

std::uint32_t crc32(std::span<const std::byte> bytes) {
  std::uint32_t value = 0xFFFFFFFFu;
  const auto* data = reinterpret_cast<const unsigned char*>(bytes.data());
  std::size_t left = bytes.size();
  for (; left >= kSlices; left -= kSlices, data += kSlices) {
    std::uint32_t low = 0, high = 0;
    std::memcpy(&low, data, 4);
    std::memcpy(&high, data + 4, 4);
    low ^= value;
    value = kTable[7][low & 0xFF] ^ kTable[6][low >> 8 & 0xFF] ^ kTable[5][low >> 16 & 0xFF] ^ kTable[4][low >> 24] ^
            kTable[3][high & 0xFF] ^ kTable[2][high >> 8 & 0xFF] ^ kTable[1][high >> 16 & 0xFF] ^ kTable[0][high >> 24];
  }
  for (; left > 0; --left, ++data) value = (value >> 8) ^ kTable[0][(value ^ *data) & 0xFF];
  return ~value;
}

template <typename T>
T ZipArchive::number(std::uint64_t offset) const {
  assert(offset + sizeof(T) <= file_->size());
  T value;
  std::memcpy(&value, file_->data() + offset, sizeof value);  // little-endian, as every machine that we support
  return value;
}

std::string ZipArchive::text(std::uint64_t offset, std::uint64_t size) const {
  return {reinterpret_cast<const char*>(file_->data()) + offset, size};
}

ZipArchive::ZipArchive(const std::filesystem::path& path)
    : path_(path.string()), file_(std::make_shared<MappedFile>(path, "a zip archive", kEndBytes)) {
  read_directory(find_directory());
}

ZipArchive::Directory ZipArchive::find_directory() const {
  const std::uint64_t size = file_->size();
  const std::uint64_t first = size - std::min(size, kEndBytes + kLongestComment);
  std::uint64_t end = size - kEndBytes + 1;
  bool found = false;
  while (!found && end > first) {
    --end;
    found = number<std::uint32_t>(end) == kEnd && end + kEndBytes + number<std::uint16_t>(end + 20) == size;
  }
  if (!found) {
    const std::string_view start(reinterpret_cast<const char*>(file_->data()), file_->size());
    throw UserError(explain_by_start({path_, "no end of a zip archive at the end of the file", "a zip archive",
                                      "the file is cut off or is no zip archive"},
                                     start, FileFormat::zip));
  }
  Directory directory{number<std::uint32_t>(end + 16), number<std::uint32_t>(end + 12),
                      number<std::uint16_t>(end + 10)};
  std::uint64_t limit = end;
  if (end >= kLocatorBytes && number<std::uint32_t>(end - kLocatorBytes) == kLocator64) {
    const auto end64 = number<std::uint64_t>(end - kLocatorBytes + 8);
    limit = end - kLocatorBytes;
    require(limit >= kEnd64Bytes && end64 <= limit - kEnd64Bytes && number<std::uint32_t>(end64) == kEnd64, [&] {
      return cat(path_, ": found no zip64 end record at byte ", end64, ", expected it where its locator points");
    });
    directory = {number<std::uint64_t>(end64 + 48), number<std::uint64_t>(end64 + 40),
                 number<std::uint64_t>(end64 + 32)};
    limit = end64;
  }
  require(directory.offset <= limit && directory.size <= limit - directory.offset &&
              directory.count <= directory.size / kCentralBytes,
          [&] {
            return cat(path_, ": found a directory of ", directory.count, " entries in ", directory.size,
                       " bytes at byte ", directory.offset, ", expected it to lie before byte ", limit);
          });
  return directory;
}

void ZipArchive::read_directory(const Directory& directory) {
  std::uint64_t at = directory.offset;
  const std::uint64_t end = directory.offset + directory.size;
  const auto cut = [&] { return cat(path_, ": found the directory cut off at byte ", at, ", expected another entry"); };
  for (std::uint64_t i = 0; i < directory.count; ++i) {
    require(end - at >= kCentralBytes && number<std::uint32_t>(at) == kCentral, cut);
    const auto flags = number<std::uint16_t>(at + 8), method = number<std::uint16_t>(at + 10);
    const auto crc = number<std::uint32_t>(at + 16);
    std::uint64_t packed = number<std::uint32_t>(at + 20), size = number<std::uint32_t>(at + 24),
                  local = number<std::uint32_t>(at + 42);
    const std::uint64_t name_size = number<std::uint16_t>(at + 28), extra_size = number<std::uint16_t>(at + 30),
                        comment_size = number<std::uint16_t>(at + 32);
    require(end - at >= kCentralBytes + name_size + extra_size + comment_size, cut);
    const std::string name = text(at + kCentralBytes, name_size);
    std::uint64_t extra = at + kCentralBytes + name_size;
    const std::uint64_t extra_end = extra + extra_size;
    while (extra_end - extra >= 4) {
      const auto id = number<std::uint16_t>(extra);
      const std::uint64_t bytes = number<std::uint16_t>(extra + 2);
      extra += 4;
      require(bytes <= extra_end - extra, cut);
      std::uint64_t field = extra;
      // The wide numbers are there, in this order, only for those of the header that are full.
      for (std::uint64_t* value : {&size, &packed, &local}) {
        if (id != kZip64Field || *value != 0xFFFFFFFFu) continue;
        require(field + 8 <= extra + bytes, cut);
        *value = number<std::uint64_t>(field);
        field += 8;
      }
      extra += bytes;
    }
    const std::string where = cat(path_, ": entry '", name, "'");
    require((flags & kEncrypted) == 0, [&] { return where + ": found it encrypted, expected plain bytes"; });
    require(method == kStored && packed == size, [&] {
      return cat(where, ": found it compressed (method ", method, ", ", packed, " of ", size,
                 " bytes), expected stored bytes as torch.save writes them; save the file again with torch.save");
    });
    Entry entry = read_local_header(name, local, size, directory.offset);
    entry.crc = crc;
    require(entries_.emplace(name, entry).second, [&] { return where + ": found it twice, expected it once"; });
    at += kCentralBytes + name_size + extra_size + comment_size;
  }
  std::vector<const Entry*> order;
  for (const auto& item : entries_) order.push_back(&item.second);
  std::sort(order.begin(), order.end(), [](const Entry* a, const Entry* b) {
    return std::pair(a->offset, a->size) < std::pair(b->offset, b->size);
  });
  for (std::size_t i = 1; i < order.size(); ++i) {
    require(order[i - 1]->offset + order[i - 1]->size <= order[i]->offset, [&] {
      return cat(path_, ": found two entries that share byte ", order[i]->offset, ", expected entries apart");
    });
  }
}

ZipArchive::Entry ZipArchive::read_local_header(const std::string& name, std::uint64_t offset, std::uint64_t size,
                                                std::uint64_t end) const {
  const std::string where = cat(path_, ": entry '", name, "'");
  require(end >= kLocalBytes && offset <= end - kLocalBytes && number<std::uint32_t>(offset) == kLocal,
          [&] { return cat(where, ": found no header at byte ", offset, ", expected it before byte ", end); });
  const std::uint64_t name_size = number<std::uint16_t>(offset + 26), extra_size = number<std::uint16_t>(offset + 28);
  const std::uint64_t head = kLocalBytes + name_size + extra_size;
  require(head <= end - offset && size <= end - offset - head, [&] {
    return cat(where, ": found ", size, " bytes from byte ", offset + head, " on, expected them to end before byte ",
               end);
  });
  const std::string local_name = text(offset + kLocalBytes, name_size);
  require(local_name == name, [&] {
    return cat(where, ": found the name '", local_name, "' before its data, expected that of the directory");
  });
  return {offset + head, size, 0};
}

void ZipArchive::check(const std::string& name, const Entry& entry) const {
  const std::uint32_t found = crc32(bytes(entry));
  require(found == entry.crc, [&] {
    return cat(path_, ": entry '", name, "': found the checksum ", found, ", expected ", entry.crc,
               "; the file is damaged, or was saved without checksums: load and save it again");
  });
}

}  // namespace rehyat
