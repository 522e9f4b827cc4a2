#pragma once

#include <algorithm>
#include <string>
#include <string_view>
#include <vector>

namespace rehyat::report::testing {

inline std::size_t count_of(std::string_view text, std::string_view part) {
  std::size_t count = 0;
  for (auto at = text.find(part); at != std::string_view::npos; at = text.find(part, at + part.size())) ++count;
  return count;
}

/// "" if every element is closed in order, else what is wrong. Knows what our pages use: quoted attributes, void
/// elements, the document type; "<" in text is a mistake.
inline std::string unbalanced(std::string_view html) {
  std::vector<std::string> open;
  for (auto at = html.find('<'); at != std::string_view::npos; at = html.find('<', at)) {
    bool quoted = false;
    std::size_t end = at;
    while (end < html.size() && (quoted || html[end] != '>')) quoted ^= html[end++] == '"';
    if (end == html.size()) return "tag without end";
    const std::string_view tag = html.substr(at + 1, end - at - 1);
    at = end + 1;
    if (tag.starts_with("!DOCTYPE")) continue;
    const bool closing = tag.starts_with("/");
    const std::string name(tag.substr(closing, tag.find(' ') - closing));
    const auto is_name = [](char c) { return ('a' <= c && c <= 'z') || ('0' <= c && c <= '9'); };
    if (name.empty() || !std::all_of(name.begin(), name.end(), is_name)) return "not a name: " + std::string(tag);
    if (name == "meta" || name == "img") continue;
    if (!closing) {
      open.push_back(name);
    } else if (open.empty() || open.back() != name) {
      return "</" + name + "> closes " + (open.empty() ? "nothing" : open.back());
    } else {
      open.pop_back();
    }
  }
  return open.empty() ? "" : "not closed: " + open.back();
}

}  // namespace rehyat::report::testing
