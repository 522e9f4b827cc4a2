#include "text/unicode.h"

#include <utf8proc.h>

#include <algorithm>
#include <cstdlib>
#include <memory>

#include "core/error.h"
#include "core/strings.h"
#include "core/utf8.h"

namespace rehyat::text {

std::u32string from_utf8(std::string_view text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto character = decode_utf8(text.substr(at), Surrogates::allowed);
    require(character.has_value(), [&] {
      return cat("text: found the byte ", int{static_cast<unsigned char>(text[at])}, " at byte ", at,
                 ", expected UTF-8; save the text as UTF-8");
    });
    out += character->code;
    at += character->bytes;
  }
  return out;
}

std::optional<std::u32string> from_strict_utf8(std::string_view text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    const auto character = decode_utf8(text.substr(at));
    if (!character) return std::nullopt;
    out += character->code;
    at += character->bytes;
  }
  return out;
}

void append_utf8(std::string& out, char32_t c) {
  const auto put = [&](char32_t bits) { out += static_cast<char>(static_cast<unsigned char>(bits)); };
  if (c < 0x80) {
    put(c);
  } else if (c < 0x800) {
    put(0xC0 | c >> 6);
    put(0x80 | (c & 0x3F));
  } else {
    if (c < 0x10000) {
      put(0xE0 | c >> 12);
    } else {
      put(0xF0 | c >> 18);
      put(0x80 | (c >> 12 & 0x3F));
    }
    put(0x80 | (c >> 6 & 0x3F));
    put(0x80 | (c & 0x3F));
  }
}

std::string to_utf8(std::u32string_view text) {
  std::string out;
  for (const char32_t c : text) append_utf8(out, c);
  return out;
}

SetMask sets_of(char32_t c) {
  const auto runs = set_runs();
  const auto behind =
      std::upper_bound(runs.begin(), runs.end(), c, [](char32_t a, const SetRun& run) { return a < run.begin; });
  return (behind - 1)->sets;
}

bool is_space(char32_t c) {
  return sets_of(c).has(kSpaceSet);
}

std::u32string compose(std::u32string_view text) {
  if (std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x300; })) return std::u32string(text);
  const std::string utf8 = to_utf8(text);
  utf8proc_uint8_t* data = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(utf8.data()), static_cast<utf8proc_ssize_t>(utf8.size()),
                   &data, static_cast<utf8proc_option_t>(UTF8PROC_STABLE | UTF8PROC_COMPOSE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(data, &std::free);
  require(size >= 0, [&] {
    return cat("text: found characters that cannot be normalized (", utf8proc_errmsg(size), "), expected Unicode text");
  });
  return from_utf8({reinterpret_cast<const char*>(data), static_cast<std::size_t>(size)});
}

}  // namespace rehyat::text
