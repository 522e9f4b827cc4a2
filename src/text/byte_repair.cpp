#include "text/byte_repair.h"

#include <algorithm>
#include <array>

#include "text/unicode.h"

namespace rehyat::text {
namespace {

constexpr unsigned char kSubstitute = 0x1A;
constexpr char32_t kReplacementBytes = 0xFFFD;

bool between(unsigned char byte, unsigned char first, unsigned char last) {
  return byte >= first && byte <= last;
}

/// Whether a letter of the patterns below stands for this byte.
bool stands_for(char letter, unsigned char byte) {
  switch (letter) {
    case '_':
      return byte == ' ';
    case '?':
    case '\n':
      return byte == static_cast<unsigned char>(letter);
    case '!':
      return byte == kSubstitute;
    case '*':
      return byte == kSubstitute || byte == '?';
    case 'c':  // continuation
      return between(byte, 0x80, 0xBF);
    case 'C':  // continuation but 85, an ellipsis, and A0, which is what was lost
      return between(byte, 0x80, 0xBF) && byte != 0x85 && byte != 0xA0;
    case 's':  // continuation or lost
      return byte == kSubstitute || between(byte, 0x80, 0xBF);
    case 'S':  // continuation, or lost as 1A or as ?
      return byte == kSubstitute || byte == '?' || between(byte, 0x80, 0xBF);
    case '2':  // leads of two bytes
      return between(byte, 0xC2, 0xDF);
    case 'l':  // leads of the Latin letters
      return byte == 0xC2 || byte == 0xC3;
    case 'w':  // leads that make a likely character with A0
      return byte == 0xC2 || byte == 0xC3 || byte == 0xC5 || byte == 0xCE || byte == 0xD0 || byte == 0xD9;
    case 'p':
      return byte == 0xE2 || byte == 0xE3;
    case 'P':
      return between(byte, 0xE0, 0xE3);
    case '3':
      return between(byte, 0xE0, 0xEF);
    case 'F':
      return byte == 0xF0;
    case '4':
      return between(byte, 0xF0, 0xF4);
    case 'E':
      return byte == 0xED;
    case 'h':  // behind ED: a high, a low surrogate
      return between(byte, 0xA0, 0xAF);
    case 'L':
      return between(byte, 0xB0, 0xBF);
    default:
      return false;
  }
}

constexpr std::array<std::string_view, 6> kAltered = {"w_", "p_C", "PC_", "F_cc", "Fc_c", "Fcc_"};
constexpr std::array<std::string_view, 10> kLossy = {"2!",  "l?",   "Eh*ELS", "EhSEL*", "3*s",
                                                     "3s*", "4*ss", "4s*s",   "4ss*",   "!"};

/// Length of the first pattern that matches at `at`, 0 where none does.
template <std::size_t N>
std::size_t match(const std::array<std::string_view, N>& patterns, std::string_view bytes, std::size_t at) {
  for (const std::string_view pattern : patterns) {
    if (pattern.size() > bytes.size() - at) continue;
    std::size_t i = 0;
    while (i < pattern.size() && stands_for(pattern[i], static_cast<unsigned char>(bytes[at + i]))) ++i;
    if (i == pattern.size()) return i;
  }
  return 0;
}

/// "Ã" with a space behind it is nearly always the word "à", but for these Portuguese words that go on.
bool is_a_grave_word(std::string_view bytes, std::size_t at) {
  if (bytes.substr(at, 2) != "\xC3 ") return false;
  const std::string_view rest = bytes.substr(at + 2);
  for (const std::string_view word : {" ", "quele", "quela", "quilo", "s "}) {
    if (rest.substr(0, word.size()) == word) return false;
  }
  return true;
}

}  // namespace

std::optional<std::string> encode(std::u32string_view text, const ByteEncoding& encoding) {
  std::string out;
  for (const char32_t c : text) {
    if (c == kReplacementBytes && encoding.sloppy) {
      out += static_cast<char>(kSubstitute);
    } else if (c < 0x80 && !(c == kSubstitute && encoding.sloppy)) {
      out += static_cast<char>(c);
    } else {
      const auto found = std::find(encoding.high.begin(), encoding.high.end(), c);
      if (found == encoding.high.end()) return std::nullopt;
      out += static_cast<char>(static_cast<unsigned char>(0x80 + (found - encoding.high.begin())));
    }
  }
  return out;
}

char32_t decode(unsigned char byte, const ByteEncoding& encoding) {
  if (byte >= 0x80) return encoding.high[byte - 0x80u];
  return encoding.sloppy && byte == kSubstitute ? kReplacementBytes : byte;
}

std::string restore_byte_a0(std::string_view bytes) {
  bool any = false;
  for (std::size_t at = 0; at < bytes.size() && !any; ++at) any = match(kAltered, bytes, at) > 0;
  if (!any) return std::string(bytes);
  std::string spaced;
  for (std::size_t at = 0; at < bytes.size();) {
    const bool word = is_a_grave_word(bytes, at);
    spaced += word ? std::string_view("\xC3\xA0 ") : bytes.substr(at, 1);
    at += word ? 2 : 1;
  }
  std::string out;
  for (std::size_t at = 0; at < spaced.size();) {
    const std::size_t length = std::max<std::size_t>(match(kAltered, spaced, at), 1);
    std::string part = spaced.substr(at, length);
    if (length > 1) std::replace(part.begin(), part.end(), ' ', '\xA0');
    out += part;
    at += length;
  }
  return out;
}

std::string replace_lossy_sequences(std::string_view bytes) {
  std::string out;
  for (std::size_t at = 0; at < bytes.size();) {
    const std::size_t length = match(kLossy, bytes, at);
    out += length > 0 ? std::string_view("\xEF\xBF\xBD") : bytes.substr(at, 1);
    at += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::optional<std::u32string> decode_utf8_variants(std::string_view bytes) {
  constexpr std::array<std::string_view, 1> pair = {"EhcELc"}, cut_pair = {"EhcEL\n"};
  std::u32string out;
  std::size_t plain = 0;  // start of what is not decoded yet
  const auto flush = [&](std::size_t end) {
    const auto part = from_strict_utf8(bytes.substr(plain, end - plain));
    if (part) out += *part;
    return part.has_value();
  };
  for (std::size_t at = 0; at < bytes.size();) {
    const auto byte = [&](std::size_t i) { return static_cast<char32_t>(static_cast<unsigned char>(bytes[at + i])); };
    const std::string_view rest = bytes.substr(at);
    // The original's patterns end in $, which also matches before a last line feed: it then eats that line feed.
    const bool null = rest.substr(0, 2) == "\xC0\x80" || rest == "\xC0\n";
    const bool surrogates = match(pair, bytes, at) > 0 || (rest.size() == 6 && match(cut_pair, bytes, at) > 0);
    if (!null && !surrogates) {
      ++at;
      continue;
    }
    if (!flush(at)) return std::nullopt;
    out += null ? 0
                : ((byte(1) & 0x0F) << 16) + ((byte(2) & 0x3F) << 10) + ((byte(4) & 0x0F) << 6) + (byte(5) & 0x3F) +
                      0x10000;
    at += null ? 2 : 6;
    plain = at;
  }
  if (!flush(bytes.size())) return std::nullopt;
  return out;
}

}  // namespace rehyat::text
