#include "text/clean.h"

#include <algorithm>
#include <array>

#include "text/html.h"
#include "text/mojibake.h"
#include "text/unicode.h"

namespace rehyat::text {
namespace {

constexpr std::size_t kLongestSegment = 1'000'000;

std::u32string expand(std::u32string_view text, std::span<const Expansion> table) {
  std::u32string out;
  for (const char32_t c : text) {
    const auto found = std::lower_bound(table.begin(), table.end(), c,
                                        [](const Expansion& e, char32_t wanted) { return e.from < wanted; });
    if (found != table.end() && found->from == c) {
      out += found->to;
    } else {
      out += c;
    }
  }
  return out;
}

void straighten_quotes(std::u32string& text) {
  for (char32_t& c : text) {
    if (c >= 0x201C && c <= 0x201F) c = U'"';
    if (c == 0x2BC || (c >= 0x2018 && c <= 0x201B)) c = U'\'';
  }
}

std::u32string fix_line_breaks(std::u32string_view text) {
  std::u32string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (c == U'\r' && i + 1 < text.size() && text[i + 1] == U'\n') continue;
    out += c == U'\r' || c == 0x2028 || c == 0x2029 || c == 0x85 ? U'\n' : c;
  }
  return out;
}

std::u32string fix_surrogates(std::u32string_view text) {
  const auto in = [](char32_t c, char32_t first, char32_t last) { return c >= first && c <= last; };
  std::u32string out;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char32_t c = text[i];
    if (in(c, 0xD800, 0xDBFF) && i + 1 < text.size() && in(text[i + 1], 0xDC00, 0xDFFF)) {
      out += 0x10000 + (c - 0xD800) * 0x400 + (text[i + 1] - 0xDC00);
      ++i;
    } else {
      out += in(c, 0xD800, 0xDFFF) ? char32_t{0xFFFD} : c;
    }
  }
  return out;
}

/// ESC [ numbers and semicolons, one letter.
std::u32string remove_terminal_escapes(std::u32string_view text) {
  std::u32string out;
  for (std::size_t i = 0; i < text.size();) {
    if (text.substr(i, 2) == U"\x1B[") {
      std::size_t end = i + 2;
      while (end < text.size() && (text[end] == U';' || sets_of(text[end]).has(kDigitSet))) ++end;
      if (end < text.size() && ((text[end] >= U'a' && text[end] <= U'z') || (text[end] >= U'A' && text[end] <= U'Z'))) {
        i = end + 1;
        continue;
      }
    }
    out += text[i++];
  }
  return out;
}

void remove_control_characters(std::u32string& text) {
  // Not those that make white space, nor joiners and marks of direction, which change what is seen.
  constexpr std::array<Range, 7> removed = {
      {{0x00, 0x08}, {0x0B, 0x0B}, {0x0E, 0x1F}, {0x7F, 0x7F}, {0x206A, 0x206F}, {0xFEFF, 0xFEFF}, {0xFFF9, 0xFFFC}}};
  std::erase_if(text, [&](char32_t c) {
    return std::any_of(removed.begin(), removed.end(), [c](const Range& r) { return c >= r.first && c <= r.last; });
  });
}

std::u32string fix_segment(std::u32string text, bool unescape) {
  while (true) {
    std::u32string next = unescape ? unescape_sure_html(text) : text;
    next = fix_c1_controls(fix_encoding(std::move(next)));
    next = expand(expand(next, ligatures()), widths());
    straighten_quotes(next);
    next = remove_terminal_escapes(fix_surrogates(fix_line_breaks(next)));
    remove_control_characters(next);
    next = compose(next);
    if (next == text) return text;
    text = std::move(next);
  }
}

}  // namespace

std::u32string fix_text(std::u32string_view text) {
  std::u32string out;
  bool unescape = true;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t feed = text.find(U'\n', at);
    const std::size_t end = std::min(feed == std::u32string_view::npos ? text.size() : feed + 1, at + kLongestSegment);
    const std::u32string_view segment = text.substr(at, end - at);
    // A "<" says that this is HTML, whose entities are meant; from that line on.
    unescape = unescape && segment.find(U'<') == std::u32string_view::npos;
    out += fix_segment(std::u32string(segment), unescape);
    at = end;
  }
  return out;
}

std::string clean_prompt(std::string_view prompt) {
  const std::u32string text = unescape_html(unescape_html(fix_text(from_utf8(prompt))));
  std::u32string out;
  bool space = false;
  for (const char32_t c : text) {
    if (is_space(c)) {
      space = true;
      continue;
    }
    if (space && !out.empty()) out += U' ';
    space = false;
    out += c;
  }
  return to_utf8(out);
}

}  // namespace rehyat::text
