#pragma once

#include <cstdint>
#include <cstring>
#include <fstream>
#include <string>
#include <utility>
#include <vector>

#include "files/zip_archive.h"

namespace rehyat::testing {

using Files = std::vector<std::pair<std::string, std::string>>;

inline std::string number(std::uint64_t value, int bytes) {
  return {reinterpret_cast<const char*>(&value), static_cast<std::size_t>(bytes)};
}

/// A zip archive of stored entries; `zip64` writes every size and offset in the wide form.
inline std::string make_zip(const Files& files, bool zip64 = false) {
  std::string out, directory;
  const auto u16 = [](std::uint64_t v) { return number(v, 2); };
  const auto u32 = [](std::uint64_t v) { return number(v, 4); };
  for (const auto& [name, data] : files) {
    const std::uint32_t crc = crc32(std::as_bytes(std::span(data.data(), data.size())));
    const std::string sizes = zip64 ? u32(0xFFFFFFFF) + u32(0xFFFFFFFF) : u32(data.size()) + u32(data.size());
    const std::string wide =
        zip64 ? u16(1) + u16(24) + number(data.size(), 8) + number(data.size(), 8) + number(out.size(), 8) : "";
    directory += u32(0x02014b50) + u16(0) + u16(0) + u16(0) + u16(0) + u32(0) + u32(crc) + sizes + u16(name.size()) +
                 u16(wide.size()) + u16(0) + u16(0) + u16(0) + u32(0) + u32(zip64 ? 0xFFFFFFFF : out.size()) + name +
                 wide;
    out += u32(0x04034b50) + u16(0) + u16(0) + u16(0) + u32(0) + u32(crc) + u32(data.size()) + u32(data.size()) +
           u16(name.size()) + u16(0) + name + data;
  }
  const std::uint64_t begin = out.size();
  out += directory;
  if (zip64) {
    const std::uint64_t end = out.size();
    out += u32(0x06064b50) + number(44, 8) + u16(45) + u16(45) + u32(0) + u32(0) + number(files.size(), 8) +
           number(files.size(), 8) + number(directory.size(), 8) + number(begin, 8);
    out += u32(0x07064b50) + u32(0) + number(end, 8) + u32(1);
  }
  const std::uint64_t count = zip64 ? 0xFFFF : files.size();
  return out + u32(0x06054b50) + u16(0) + u16(0) + u16(count) + u16(count) +
         u32(zip64 ? 0xFFFFFFFF : directory.size()) + u32(zip64 ? 0xFFFFFFFF : begin) + u16(0);
}

inline std::string pickled(const std::string& text) {
  return "X" + number(text.size(), 4) + text;
}
inline std::string pickled(std::int64_t value) {
  return "\x8a\x08" + number(static_cast<std::uint64_t>(value), 8);
}
inline std::string pickled(const std::vector<std::int64_t>& values) {
  std::string out = "(";
  for (const std::int64_t value : values) out += pickled(value);
  return out + "t";
}

/// The pickle of one tensor of float32 over the entry data/0.
inline std::string pickled_tensor(std::int64_t count, std::int64_t offset, const std::vector<std::int64_t>& shape,
                                  const std::vector<std::int64_t>& strides) {
  return "ctorch._utils\n_rebuild_tensor_v2\n((" + pickled("storage") + "ctorch\nFloatStorage\n" + pickled("0") +
         pickled("cpu") + pickled(count) + "tQ" + pickled(offset) + pickled(shape) + pickled(strides) +
         "\x89"
         "ccollections\nOrderedDict\n)RtR";
}

/// A whole program that makes {"t": value}.
inline std::string pickled_dict(const std::string& value) {
  return "\x80\x02}" + pickled("t") + value + "s.";
}

inline Files pth_files(const std::string& program, const std::string& data) {
  return {{"a/data.pkl", program}, {"a/byteorder", "little"}, {"a/data/0", data}};
}

inline void write_bytes(const std::filesystem::path& path, const std::string& bytes) {
  std::ofstream(path, std::ios::binary) << bytes;
}

}  // namespace rehyat::testing
