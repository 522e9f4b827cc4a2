#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace rehyat {

struct Utf8Character {
  char32_t code = 0;
  std::size_t bytes = 0;
};

/// Whether U+D800 to U+DFFF count, which are halves of characters that some programs encode as if they were whole.
enum class Surrogates { invalid, allowed };

/// The character at the start of `text`, or nothing where no well-formed UTF-8 stands there: no overlong forms, nothing
/// above U+10FFFF (Unicode 15, table 3-7).
std::optional<Utf8Character> decode_utf8(std::string_view text, Surrogates surrogates = Surrogates::invalid);

/// The place of the first byte that is not part of a well-formed character; nothing where all bytes are.
std::optional<std::size_t> invalid_utf8(std::string_view text);

/// The text with every byte that is not UTF-8, and every control character, written as \xNN: fit for a message.
std::string printable(std::string_view text);

/// Throws UserError with file:line and the byte unless the text of a file is UTF-8.
void require_utf8(std::string_view text, const std::string& file);

}  // namespace rehyat
