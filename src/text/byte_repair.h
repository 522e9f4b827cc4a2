#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "text/tables.h"

/// Text as bytes of the single-byte encoding through which it may have been misread, and UTF-8 that was damaged on that
/// way. The rules are those of ftfy 6.3.1.
namespace rehyat::text {

/// The bytes that `encoding` decodes to this text; nullopt where some character is not in it.
std::optional<std::string> encode(std::u32string_view text, const ByteEncoding& encoding);
/// The character of one byte.
char32_t decode(unsigned char byte, const ByteEncoding& encoding);

/// Puts byte A0 back where a program took it for a space inside what else is a UTF-8 sequence. The same text when there
/// is no such place.
std::string restore_byte_a0(std::string_view bytes);
/// UTF-8 sequences with lost bytes (1A, in some places ?) become U+FFFD.
std::string replace_lossy_sequences(std::string_view bytes);
/// UTF-8 in which surrogate pairs and NUL may be written as CESU-8 and Java do; nullopt for anything else.
std::optional<std::u32string> decode_utf8_variants(std::string_view bytes);

}  // namespace rehyat::text
