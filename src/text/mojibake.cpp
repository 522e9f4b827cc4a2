#include "text/mojibake.h"

#include <algorithm>
#include <vector>

#include "text/byte_repair.h"
#include "text/unicode.h"

namespace rehyat::text {
namespace {

constexpr std::string_view kMacRoman = "macroman";

const ByteEncoding& windows_1252() {
  return byte_encodings()[1];
}

std::vector<SetMask> masks_of(std::u32string_view text) {
  std::vector<SetMask> out;
  out.reserve(text.size());
  for (const char32_t c : text) out.push_back(sets_of(c));
  return out;
}

bool matches(const SetPattern& pattern, const std::vector<SetMask>& masks, std::size_t at) {
  if (pattern.length > masks.size() - at || (pattern.at_start && at > 0)) return false;
  for (std::size_t i = 0; i < pattern.length; ++i) {
    if (!masks[at + i].has(pattern.sets[i])) return false;
  }
  return true;
}

/// Length of the run of UTF-8-like sequences at `at`, 0 where there is none.
std::size_t utf8_run(const std::vector<SetMask>& masks, std::size_t at) {
  if (at > 0 && masks[at - 1].has(kNotBeforeUtf8Set)) return 0;
  std::size_t end = at;
  for (bool more = true; more && end < masks.size();) {
    more = false;
    for (const SetPattern& pattern : utf8_patterns()) {
      if (!matches(pattern, masks, end)) continue;
      end += pattern.length;
      more = true;
      break;
    }
  }
  return end - at;
}

/// UTF-8 seen through a single-byte encoding, mended piece by piece where the text as a whole cannot be.
std::u32string decode_inconsistent_utf8(std::u32string_view text) {
  const std::vector<SetMask> masks = masks_of(text);
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = utf8_run(masks, at);
    if (length == 0) {
      out += text[at++];
      continue;
    }
    const std::u32string_view part = text.substr(at, length);
    // Only a shorter piece: the whole text would come here again for ever.
    out += length < text.size() && is_bad(part) ? fix_encoding(std::u32string(part)) : std::u32string(part);
    at += length;
  }
  return out;
}

bool is_c1(char32_t c) {
  return c >= 0x80 && c <= 0x9F;
}

/// The text as one encoding's bytes that turn out to be UTF-8; nullopt otherwise.
std::optional<std::u32string> reread(std::string bytes, const ByteEncoding& encoding) {
  // In Mac Roman the pattern would match an en dash before a space.
  if (encoding.name != kMacRoman) bytes = restore_byte_a0(bytes);
  if (encoding.sloppy) bytes = replace_lossy_sequences(bytes);
  const bool variants = bytes.find('\xED') != std::string::npos || bytes.find('\xC0') != std::string::npos;
  return variants ? decode_utf8_variants(bytes) : from_strict_utf8(bytes);
}

/// Latin-1 that was meant as Windows-1252; nullopt where a byte has no meaning there.
std::optional<std::u32string> as_windows_1252(std::u32string_view text) {
  constexpr std::u32string_view holes = U"\u0081\u008D\u008F\u0090\u009D";
  std::u32string out;
  for (const char32_t c : text) {
    if (holes.find(c) != std::u32string_view::npos) return std::nullopt;
    out += c < 0x80 ? c : decode(static_cast<unsigned char>(c), windows_1252());
  }
  return out;
}

std::u32string fix_encoding_once(const std::u32string& text) {
  if (std::all_of(text.begin(), text.end(), [](char32_t c) { return c < 0x80; }) || !is_bad(text)) return text;
  bool latin_1 = false;
  for (const ByteEncoding& encoding : byte_encodings()) {
    const auto bytes = encode(text, encoding);
    if (!bytes) continue;
    latin_1 = latin_1 || &encoding == &byte_encodings().front();
    if (auto found = reread(*bytes, encoding)) return *found;
  }
  if (std::u32string found = decode_inconsistent_utf8(text); found != text) return found;
  if (latin_1) {
    if (auto found = as_windows_1252(text); found && *found != text) return *found;
  }
  if (std::any_of(text.begin(), text.end(), is_c1)) return fix_c1_controls(text);
  return text;
}

}  // namespace

bool is_bad(std::u32string_view text) {
  const std::vector<SetMask> masks = masks_of(text);
  for (std::size_t at = 0; at < text.size(); ++at) {
    for (const SetPattern& pattern : bad_patterns()) {
      if (matches(pattern, masks, at)) return true;
    }
  }
  return false;
}

std::u32string fix_encoding(std::u32string text) {
  while (true) {
    std::u32string next = fix_encoding_once(text);
    if (next == text) return text;
    text = std::move(next);
  }
}

std::u32string fix_c1_controls(std::u32string_view text) {
  std::u32string out;
  for (const char32_t c : text) out += is_c1(c) ? decode(static_cast<unsigned char>(c), windows_1252()) : c;
  return out;
}

}  // namespace rehyat::text
