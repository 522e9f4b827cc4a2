#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace rehyat {

/// Bytes of the well-formed UTF-8 character at the start of `text` (no overlong forms, no surrogates, nothing above
/// U+10FFFF; Unicode 15, table 3-7), or 0 where there is none.
std::size_t utf8_length(std::string_view text);

/// Where the first byte lies that is not part of such a character; nothing where all are.
std::optional<std::size_t> invalid_utf8(std::string_view text);

/// The text with every byte that is not UTF-8, and every control character, written as \xNN: fit for a message.
std::string printable(std::string_view text);

/// Throws UserError with file:line and the byte unless the text of a file is UTF-8.
void require_utf8(std::string_view text, const std::string& file);

}  // namespace rehyat
