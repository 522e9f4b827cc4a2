#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

namespace rehyat::data {

/// The bytes of a clip, whole file or member of an archive.
struct ClipBytes {
  std::uint64_t size = 0;
  /// Reads up to `bytes` from `at` on, fewer only at the end, and returns how many; throws where the system fails.
  std::function<std::size_t(std::uint64_t at, char* to, std::size_t bytes)> read;
};

/// Reads a clip through a window. What would lie behind its end is absent.
class ClipWindow {
 public:
  explicit ClipWindow(const ClipBytes& clip) : clip_(clip) {}

  std::uint64_t size() const { return clip_.size; }

  /// Up to `count` bytes, kBytes at most, from `at` on; valid until the next call.
  std::string_view at(std::uint64_t at, std::size_t count) {
    if (at >= size()) return {};
    const auto wanted = static_cast<std::size_t>(std::min<std::uint64_t>(count, size() - at));
    if (at < start_ || at + wanted > start_ + bytes_.size()) {
      bytes_.resize(static_cast<std::size_t>(std::min<std::uint64_t>(kBytes, size() - at)));
      bytes_.resize(clip_.read(at, bytes_.data(), bytes_.size()));
      start_ = at;
    }
    return std::string_view(bytes_).substr(static_cast<std::size_t>(at - start_)).substr(0, wanted);
  }

  /// An unsigned number of `count` bytes; nothing where the clip ends before it does.
  std::optional<std::uint64_t> number(std::uint64_t place, std::size_t count, bool big_endian) {
    const std::string_view bytes = at(place, count);
    if (bytes.size() < count) return {};
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < count; ++i)
      value = value << 8 | static_cast<unsigned char>(bytes[big_endian ? i : count - 1 - i]);
    return value;
  }

 private:
  static constexpr std::uint64_t kBytes = 1 << 14;

  const ClipBytes& clip_;
  std::uint64_t start_ = 0;
  std::string bytes_;
};

}  // namespace rehyat::data
