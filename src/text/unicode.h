#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/tables.h"

namespace rehyat::text {

/// Code points of UTF-8. Surrogates that were encoded as if they were characters are taken as they are (fix_text mends
/// them); throws UserError with the byte where the text is no UTF-8.
std::u32string from_utf8(std::string_view text);
/// Strict UTF-8, as Python decodes it: no surrogates, no overlong forms; nullopt where it is none.
std::optional<std::u32string> from_strict_utf8(std::string_view text);
std::string to_utf8(std::u32string_view text);
void append_utf8(std::string& out, char32_t c);

/// The sets of a character (tables.h).
SetMask sets_of(char32_t c);
/// White space as Python's str.isspace.
bool is_space(char32_t c);

/// Unicode normalization form C. Throws UserError if the library refuses the text.
std::u32string compose(std::u32string_view text);

}  // namespace rehyat::text
