#include "core/strings.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <iomanip>

#include "core/error.h"
#include "core/utf8.h"

namespace rehyat {

std::string join(const std::vector<std::string>& parts, std::string_view separator) {
  std::string text;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) text += separator;
    text += parts[i];
  }
  return text;
}

std::vector<std::string> split(std::string_view text, char separator) {
  std::vector<std::string> parts;
  std::size_t begin = 0;
  while (true) {
    const std::size_t end = text.find(separator, begin);
    parts.emplace_back(text.substr(begin, end == std::string_view::npos ? end : end - begin));
    if (end == std::string_view::npos) return parts;
    begin = end + 1;
  }
}

std::string_view trim(std::string_view text) {
  const auto space = [](char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r' || c == '\v' || c == '\f'; };
  while (!text.empty() && space(text.front())) text.remove_prefix(1);
  while (!text.empty() && space(text.back())) text.remove_suffix(1);
  return text;
}

namespace {

/// Edit distance with swaps of neighbours (optimal string alignment), of which only three rows are kept.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> before(b.size() + 1), last(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::swap(before, last);
    std::swap(last, row);
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      row[j] = std::min({last[j] + 1, row[j - 1] + 1, last[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1)});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1]) row[j] = std::min(row[j], before[j - 2] + 1);
    }
  }
  return row[b.size()];
}

}  // namespace

std::string nearest(std::string_view name, const std::vector<std::string>& candidates) {
  constexpr std::size_t kLongest = 128, kMost = 20'000;  // a hint must not take longer than what failed
  if (name.size() > kLongest) return "";
  std::size_t compared = 0;
  std::string best;
  std::size_t best_distance = std::max<std::size_t>(1, name.size() / 3) + 1;
  for (const std::string& candidate : candidates) {
    const std::size_t longer = std::max(candidate.size(), name.size()),
                      shorter = std::min(candidate.size(), name.size());
    if (longer - shorter >= best_distance) continue;
    if (++compared > kMost) break;
    const std::size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best = candidate;
      best_distance = distance;
    }
  }
  return best;
}

std::string human_bytes(std::int64_t bytes) {
  constexpr std::array<const char*, 6> units = {"B", "kB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (std::abs(value) >= 999.5 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  std::ostringstream out;
  out << std::fixed << std::setprecision(unit == 0 || std::abs(value) >= 100 ? 0 : 1) << value << ' ' << units[unit];
  return out.str();
}

std::string human_seconds(double seconds) {
  std::ostringstream out;
  if (!(seconds >= 0 && seconds < 1e15)) return "?";
  if (seconds < 10) {
    out << std::fixed << std::setprecision(1) << seconds << " s";
    return out.str();
  }
  const auto whole = static_cast<std::int64_t>(std::llround(seconds));
  if (whole < 60) return cat(whole, " s");
  if (whole < 3600) return cat(whole / 60, " min ", whole % 60, " s");
  if (whole < 86400) return cat(whole / 3600, " h ", whole % 3600 / 60, " min");
  return cat(whole / 86400, " d ", whole % 86400 / 3600, " h");
}

std::string human_count(std::int64_t count) {
  // The magnitude as unsigned: the smallest number has no positive counterpart.
  const auto plain = static_cast<std::uint64_t>(count);
  std::string digits = std::to_string(count < 0 ? 0 - plain : plain);
  for (auto i = static_cast<std::ptrdiff_t>(digits.size()) - 3; i > 0; i -= 3)
    digits.insert(static_cast<std::size_t>(i), 1, ',');
  return cat(count < 0 ? "-" : "", digits);
}

std::int64_t parse_bytes(std::string_view text, std::string_view what) {
  const std::string_view trimmed = trim(text);
  const auto refuse = [&]() -> UserError {
    return UserError({std::string(what), cat('"', text, '"'), "a size such as 500GB, 64MiB or 1000", ""});
  };
  double value = 0;
  const auto [end, error] = std::from_chars(trimmed.data(), trimmed.data() + trimmed.size(), value);
  if (error != std::errc() || !std::isfinite(value) || value < 0) throw refuse();
  std::string unit(trim(trimmed.substr(static_cast<std::size_t>(end - trimmed.data()))));
  std::transform(unit.begin(), unit.end(), unit.begin(), [](unsigned char c) { return std::tolower(c); });
  constexpr std::string_view prefixes = "kmgtp";
  double scale = 1;
  if (!unit.empty() && unit != "b") {
    const std::size_t power = prefixes.find(unit.front());
    const std::string rest = unit.substr(1);
    if (power == std::string_view::npos || (rest != "b" && rest != "ib" && !rest.empty())) throw refuse();
    scale = std::pow(rest == "ib" ? 1024.0 : 1000.0, static_cast<double>(power + 1));
  }
  if (value * scale >= 9.2e18) throw refuse();
  return static_cast<std::int64_t>(std::llround(value * scale));
}

std::string excerpt(std::string_view text, std::size_t longest) {
  std::string out;
  for (std::size_t i = 0; i < text.size();) {
    const auto character = decode_utf8(text.substr(i));
    const std::size_t length = character ? character->bytes : 0;
    if (out.size() + length > longest) return out + "…";
    const auto c = static_cast<unsigned char>(text[i]);
    if (length == 0 || c < 0x20 || c == 0x7F) {
      out += '?';
    } else {
      out.append(text, i, length);
    }
    i += std::max<std::size_t>(length, 1);
  }
  return out;
}

std::string text_position(std::string_view before) {
  std::size_t line = 1, column = 1;
  for (const char c : before) {
    if (c == '\n') {
      ++line;
      column = 1;
    } else if ((static_cast<unsigned char>(c) & 0xC0) != 0x80) {
      ++column;
    }
  }
  return cat(':', line, ':', column);
}

std::string shape_string(const std::vector<std::int64_t>& shape) {
  std::vector<std::string> parts;
  for (const std::int64_t size : shape) parts.push_back(std::to_string(size));
  return cat('[', join(parts, ", "), ']');
}

}  // namespace rehyat
