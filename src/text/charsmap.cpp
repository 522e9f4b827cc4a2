#include "text/charsmap.h"

#include <utf8proc.h>

#include <cstring>

#include "core/error.h"
#include "core/strings.h"
#include "core/utf8.h"
#include "text/unicode.h"

namespace rehyat::text {
namespace {

constexpr std::size_t kShortCluster = 6;  // bytes; from this length on a cluster is taken apart

// Units of a double array as in the Darts-clone library.
bool has_leaf(std::uint32_t unit) {
  return unit >> 8 & 1;
}
std::uint32_t value_of(std::uint32_t unit) {
  return unit & 0x7FFFFFFFu;
}
std::uint32_t label_of(std::uint32_t unit) {
  return unit & 0x800000FFu;
}
std::uint32_t offset_of(std::uint32_t unit) {
  return unit >> 10 << ((unit & 1u << 9) >> 6);
}

}  // namespace

Charsmap::Charsmap(const std::string& blob, const std::string& where) : where_(where) {
  if (blob.empty()) return;
  std::uint32_t bytes = 0;
  const bool whole = blob.size() >= sizeof bytes;
  if (whole) std::memcpy(&bytes, blob.data(), sizeof bytes);
  require(whole && bytes <= blob.size() - sizeof bytes && bytes >= 4 && bytes % 4 == 0, [&] {
    return cat(where, ": found a map of characters with a trie of ", bytes, " of ", blob.size(),
               " bytes, expected it to fit");
  });
  trie_.resize(bytes / 4);
  std::memcpy(trie_.data(), blob.data() + sizeof bytes, bytes);
  texts_ = blob.substr(sizeof bytes + bytes);
}

std::optional<std::string_view> Charsmap::find(std::string_view key) const {
  if (trie_.empty()) return std::nullopt;
  std::uint32_t node = offset_of(trie_[0]);
  for (const char c : key) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte == 0) break;
    node ^= byte;
    if (node >= trie_.size() || label_of(trie_[node]) != byte) return std::nullopt;
    const std::uint32_t unit = trie_[node];
    node ^= offset_of(unit);
    if (has_leaf(unit)) {
      if (node >= trie_.size() || value_of(trie_[node]) >= texts_.size()) return std::nullopt;
      const std::size_t begin = value_of(trie_[node]), end = std::min(texts_.find('\0', begin), texts_.size());
      const std::string_view text = std::string_view(texts_).substr(begin, end - begin);
      require(!invalid_utf8(text),
              [&] { return where_ + ": found a map of characters with bytes that are no UTF-8, expected characters"; });
      return text;
    }
  }
  return std::nullopt;
}

std::string Charsmap::normalize(std::string_view text) const {
  const std::u32string points = from_utf8(text);
  std::string out;
  for (std::size_t at = 0; at < points.size();) {
    std::size_t end = at + 1;
    utf8proc_int32_t state = 0;
    while (end < points.size() && !utf8proc_grapheme_break_stateful(static_cast<utf8proc_int32_t>(points[end - 1]),
                                                                    static_cast<utf8proc_int32_t>(points[end]), &state))
      ++end;
    const std::string cluster = to_utf8(std::u32string_view(points).substr(at, end - at));
    const auto whole = cluster.size() < kShortCluster ? find(cluster) : std::nullopt;
    if (whole) out += *whole;
    for (; !whole && at < end; ++at) {
      std::string one;
      append_utf8(one, points[at]);
      const auto part = find(one);
      out += part ? *part : std::string_view(one);
    }
    at = end;
  }
  return out;
}

}  // namespace rehyat::text
