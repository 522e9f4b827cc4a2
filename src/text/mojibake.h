#pragma once

#include <string>
#include <string_view>

/// Mojibake: text that was decoded with the wrong encoding, and how to undo it. The rules are those of ftfy 6.3.1.
namespace rehyat::text {

/// Whether the text has a sequence of characters that is far likelier a wrong decoding than meant.
bool is_bad(std::u32string_view text);

/// Undoes wrong decodings, several on top of each other too, until the text looks right or nothing helps.
std::u32string fix_encoding(std::u32string text);

/// C1 controls become the characters that Windows-1252 has in their place.
std::u32string fix_c1_controls(std::u32string_view text);

}  // namespace rehyat::text
