#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace rehyat::text {

/// SentencePiece's precompiled map of characters (NFKC and more) as the tokenizers library applies it: to each grapheme
/// cluster of at most 5 bytes as a whole, else to each of its characters. A key that matches only the beginning of a
/// cluster replaces the whole cluster, as it does there.
class Charsmap {
 public:
  /// `blob`: bytes of the trie, a double array, then the texts that it points to, each with a NUL behind it. Empty: the
  /// map changes nothing. Throws UserError naming `where` when it is damaged.
  Charsmap(const std::string& blob, const std::string& where);

  /// UTF-8 to UTF-8. Throws UserError where the map has bytes that are no characters.
  std::string normalize(std::string_view text) const;

 private:
  std::optional<std::string_view> find(std::string_view key) const;

  std::string where_;
  std::vector<std::uint32_t> trie_;
  std::string texts_;
};

}  // namespace rehyat::text
