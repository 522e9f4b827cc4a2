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

/// Whether U+D800 to U+DFFF are taken: they are halves of characters, which some programs encode as if they were whole.
enum class Surrogates { invalid, allowed };

/// The character at the start of `text`, or nothing where no well-formed UTF-8 stands there: no overlong forms, nothing
/// above U+10FFFF (Unicode 15, table 3-7).
std::optional<Utf8Character> decode_utf8(std::string_view text, Surrogates surrogates = Surrogates::invalid);

/// The place of the first byte that is not part of a well-formed character; nothing where all bytes are.
std::optional<std::size_t> invalid_utf8(std::string_view text);

/// The text for a message: every byte that is not UTF-8, and every control character, is written as \xNN.
std::string printable(std::string_view text);

/// Throws UserError that names the file, the line and the byte unless the text of the file is UTF-8. Readers of text
/// call text_in (files/text_file.h), which calls this.
void require_utf8(std::string_view text, const std::string& file);

}  // namespace rehyat
