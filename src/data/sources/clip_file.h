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

}  // namespace rehyat::data
