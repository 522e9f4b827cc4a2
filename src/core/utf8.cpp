#include "core/utf8.h"

#include <algorithm>
#include <cstdio>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat {
namespace {

std::string escaped(char c) {
  char text[8];
  std::snprintf(text, sizeof text, "\\x%02X", static_cast<unsigned>(static_cast<unsigned char>(c)));
  return text;
}

}  // namespace

std::optional<Utf8Character> decode_utf8(std::string_view text, Surrogates surrogates) {
  if (text.empty()) return std::nullopt;
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned lead = byte(0);
  if (lead < 0x80) return Utf8Character{lead, 1};
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || length > text.size()) return std::nullopt;
  char32_t code = lead & (0x7Fu >> length);
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0) != 0x80) return std::nullopt;
    code = code << 6 | (byte(i) & 0x3F);
  }
  if ((length == 3 && code < 0x800) || (length == 4 && code < 0x10000) || code > 0x10FFFF) return std::nullopt;
  if (surrogates == Surrogates::invalid && code >= 0xD800 && code <= 0xDFFF) return std::nullopt;
  return Utf8Character{code, length};
}

std::optional<std::size_t> invalid_utf8(std::string_view text) {
  for (std::size_t at = 0; at < text.size();) {
    const auto character = decode_utf8(text.substr(at));
    if (!character) return at;
    at += character->bytes;
  }
  return std::nullopt;
}

std::string printable(std::string_view text) {
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto character = decode_utf8(text.substr(at));
    const std::size_t bytes = character ? character->bytes : 1;
    if (!character || character->code < 0x20 || (character->code >= 0x7F && character->code < 0xA0)) {
      for (const char byte : text.substr(at, bytes)) out += escaped(byte);
    } else {
      out += text.substr(at, bytes);
    }
    at += bytes;
  }
  return out;
}

void require_utf8(std::string_view text, const std::string& file) {
  const auto bad = invalid_utf8(text);
  require(!bad, [&] {
    return to_sentence(
        {cat(file, ":", 1 + std::ranges::count(text.substr(0, *bad), '\n')),
         cat("the byte ", escaped(text[*bad]), ", which is not UTF-8"), "UTF-8 text",
         "convert the file from the encoding that it was saved in, for example with iconv -f WINDOWS-1252 -t UTF-8"});
  });
}

}  // namespace rehyat
