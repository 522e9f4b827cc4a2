#include "text/html.h"

#include <algorithm>
#include <optional>

#include "text/tables.h"

namespace rehyat::text {
namespace {

constexpr std::size_t kLongestName = 32, kLongestSureName = 24;
constexpr char32_t kReplacementCharacter = 0xFFFD;

bool is_digit(char32_t c) {
  return c >= U'0' && c <= U'9';
}
int hex_value(char32_t c) {
  if (is_digit(c)) return static_cast<int>(c - U'0');
  const char32_t lower = c | 0x20;
  return lower >= U'a' && lower <= U'f' ? static_cast<int>(lower - U'a') + 10 : -1;
}
bool is_name(char32_t c) {
  return std::u32string_view(U"\t\n\f <&#;").find(c) == std::u32string_view::npos;
}

/// The text of an entity's name as it stands behind the &, with or without its semicolon.
std::optional<std::u32string> entity(std::u32string_view name) {
  const bool closed = !name.empty() && name.back() == U';';
  if (closed) name.remove_suffix(1);
  std::string ascii;
  for (const char32_t c : name) {
    if (c >= 0x80) return std::nullopt;
    ascii += static_cast<char>(c);
  }
  const auto all = entities();
  const auto found = std::lower_bound(all.begin(), all.end(), ascii,
                                      [](const Entity& e, const std::string& wanted) { return e.name < wanted; });
  if (found == all.end() || found->name != ascii || (!closed && !found->bare)) return std::nullopt;
  std::u32string out(1, found->first);
  if (found->second != 0) out += found->second;
  return out;
}

std::u32string numbered(std::uint64_t number) {
  for (const Mapping& mapping : replaced_references()) {
    if (mapping.from == number) return std::u32string(1, mapping.to);
  }
  if ((number >= 0xD800 && number <= 0xDFFF) || number > 0x10FFFF) return std::u32string(1, kReplacementCharacter);
  for (const Range& range : dropped_references()) {
    if (number >= range.first && number <= range.last) return {};
  }
  return std::u32string(1, static_cast<char32_t>(number));
}

/// A numeric reference at `at`, which stands behind "&#"; moves `at` behind it. nullopt where there is none.
std::optional<std::u32string> numeric(std::u32string_view text, std::size_t& at) {
  std::size_t end = at;
  const bool hex = end < text.size() && (text[end] | 0x20) == U'x';
  if (hex) ++end;
  const std::size_t first = end;
  std::uint64_t number = 0;
  while (end < text.size() && (hex ? hex_value(text[end]) >= 0 : is_digit(text[end]))) {
    // Beyond the last code point the exact number makes no difference.
    number =
        std::min<std::uint64_t>(number * (hex ? 16 : 10) + static_cast<std::uint64_t>(hex_value(text[end])), 0x110000);
    ++end;
  }
  if (end == first) return std::nullopt;
  if (end < text.size() && text[end] == U';') ++end;
  at = end;
  return numbered(number);
}

/// What the name in front means; the longest known beginning counts where the whole is unknown.
std::u32string named(std::u32string_view name) {
  if (const auto found = entity(name)) return *found;
  for (std::size_t length = name.size() - 1; length > 1; --length) {
    if (auto found = entity(name.substr(0, length))) return found->append(name.substr(length));
  }
  std::u32string out(1, U'&');
  out += name;
  return out;
}

/// What a reference that ends in a semicolon means; nothing where that is not sure.
std::optional<std::u32string> sure_meaning(std::u32string_view reference) {
  const std::u32string_view inside = reference.substr(1);
  if (inside.front() == U'#') {
    const std::u32string plain = unescape_html(reference);
    // What is left of the semicolon shows that only a part was understood.
    if (plain.find(U';') != std::u32string::npos) return std::nullopt;
    return plain;
  }
  if (auto found = entity(inside)) return found;
  const auto all = upper_entities();
  std::string ascii;
  for (const char32_t c : inside.substr(0, inside.size() - 1)) ascii += static_cast<char>(c);
  const auto found = std::lower_bound(all.begin(), all.end(), ascii,
                                      [](const Replacement& r, const std::string& wanted) { return r.name < wanted; });
  if (found == all.end() || found->name != ascii) return std::nullopt;
  return std::u32string(found->text);
}

}  // namespace

std::u32string unescape_html(std::u32string_view text) {
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    if (text[at] != U'&') {
      out += text[at++];
      continue;
    }
    std::size_t end = at + 1;
    if (end < text.size() && text[end] == U'#') {
      ++end;
      if (const auto found = numeric(text, end)) {
        out += *found;
        at = end;
        continue;
      }
      out += text[at++];
      continue;
    }
    while (end < text.size() && end - at - 1 < kLongestName && is_name(text[end])) ++end;
    if (end == at + 1) {
      out += text[at++];
      continue;
    }
    if (end < text.size() && text[end] == U';') ++end;
    out += named(text.substr(at + 1, end - at - 1));
    at = end;
  }
  return out;
}

std::u32string unescape_sure_html(std::u32string_view text) {
  const auto plain = [](char32_t c) { return is_digit(c) || ((c | 0x20) >= U'a' && (c | 0x20) <= U'z' && c < 0x80); };
  std::u32string out;
  for (std::size_t at = 0; at < text.size();) {
    std::size_t first = at + 1;
    if (text[at] == U'&' && first < text.size() && text[first] == U'#') ++first;
    std::size_t end = first;
    while (text[at] == U'&' && end < text.size() && end - first < kLongestSureName && plain(text[end])) ++end;
    if (end == first || end == text.size() || text[end] != U';') {
      out += text[at++];
      continue;
    }
    const std::u32string_view reference = text.substr(at, end + 1 - at);
    out += sure_meaning(reference).value_or(std::u32string(reference));
    at = end + 1;
  }
  return out;
}

}  // namespace rehyat::text
