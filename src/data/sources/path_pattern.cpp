#include "data/sources/path_pattern.h"

#include <glob.h>

#include <algorithm>
#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::data {
namespace {

constexpr std::size_t kMost = 1'000'000;

[[noreturn]] void refuse_pattern(const std::string& pattern, const std::string& found, const std::string& expected,
                                 const std::string& hint = "") {
  throw UserError(Mistake{pattern, found, expected, hint});
}

std::optional<std::int64_t> whole_number(std::string_view text) {
  std::int64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (text.empty() || text[0] == '-' || error != std::errc() || end != text.data() + text.size()) return {};
  return value;
}

/// "000..012" -> 000, 001 … 012.
std::vector<std::string> range_of(const std::string& pattern, const std::string& inside) {
  const std::size_t dots = inside.find("..");
  const std::string first = inside.substr(0, dots), last = inside.substr(dots + 2);
  const auto from = whole_number(first), to = whole_number(last);
  if (!from || !to) refuse_pattern(pattern, cat("the range {", inside, "}"), "two numbers, such as {000..012}");
  if (static_cast<std::size_t>(std::abs(*to - *from)) >= kMost)
    refuse_pattern(pattern, cat("the range {", inside, "}"), cat("at most ", kMost, " numbers"));
  const bool padded = (first.size() > 1 && first[0] == '0') || (last.size() > 1 && last[0] == '0');
  const int width = padded ? static_cast<int>(std::max(first.size(), last.size())) : 1;
  std::vector<std::string> out;
  for (std::int64_t i = *from;; i += *to < *from ? -1 : 1) {
    char text[32];
    std::snprintf(text, sizeof text, "%0*lld", width, static_cast<long long>(i));
    out.emplace_back(text);
    if (i == *to) return out;
  }
}

struct Glob {
  glob_t found{};
  ~Glob() { ::globfree(&found); }
};

}  // namespace

bool is_pattern(const std::filesystem::path& path) {
  std::error_code error;
  return path.string().find_first_of("{*?[") != std::string::npos && !std::filesystem::exists(path, error);
}

std::vector<std::string> expand_braces(const std::string& pattern) {
  std::vector<std::string> done = {""};
  for (std::string_view rest = pattern; !rest.empty();) {
    const std::size_t open = std::min(rest.find_first_of("{}"), rest.size());
    for (std::string& text : done) text += rest.substr(0, open);
    if (open == rest.size()) break;
    const std::size_t close = rest.find_first_of("{}", open + 1);
    if (rest[open] == '}' || close == std::string_view::npos || rest[close] == '{')
      refuse_pattern(pattern, "a brace without its partner, or within others", "{a,b} or {000..012}");
    const std::string inside(rest.substr(open + 1, close - open - 1));
    const bool range = inside.find("..") != std::string::npos && inside.find(',') == std::string::npos;
    const std::vector<std::string> choices = range ? range_of(pattern, inside) : split(inside, ',');
    if (choices.size() * done.size() > kMost)
      refuse_pattern(pattern, "braces that stand for too much", cat("at most ", kMost, " names"));
    std::vector<std::string> longer;
    for (const std::string& text : done)
      for (const std::string& choice : choices) longer.push_back(text + choice);
    done = std::move(longer);
    rest.remove_prefix(close + 1);
  }
  return done;
}

std::vector<std::filesystem::path> expand_pattern(const std::filesystem::path& pattern) {
  std::vector<std::filesystem::path> out;
  for (const std::string& part : expand_braces(pattern.string())) {
    Glob glob;
    const int code = ::glob(part.c_str(), 0, nullptr, &glob.found);
    if (code == GLOB_NOMATCH)
      refuse_pattern(pattern.string(), part == pattern.string() ? "nothing" : cat("nothing at ", part),
                     "files that it names");
    if (code != 0) refuse_pattern(pattern.string(), cat("a folder that cannot be read at ", part), "one that can");
    for (std::size_t i = 0; i < glob.found.gl_pathc; ++i) out.emplace_back(glob.found.gl_pathv[i]);
  }
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace rehyat::data
