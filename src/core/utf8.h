#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rehyat {

/// Position of the first byte that is not part of well-formed UTF-8 (no overlong forms, no surrogates, nothing above
/// U+10FFFF; Unicode 15, table 3-7), or npos.
std::size_t invalid_utf8(std::string_view text);

/// The text with every byte that is not UTF-8, and every control character, written as \xNN: fit for a message.
std::string printable(std::string_view text);

/// Throws UserError with file:line and the byte unless the text of a file is UTF-8.
void require_utf8(std::string_view text, const std::string& file);

}  // namespace rehyat
