#include "core/units.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iomanip>
#include <sstream>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat {
namespace {

std::string fixed_digits(double value, int decimals) {
  std::ostringstream out;
  out << std::fixed << std::setprecision(decimals) << value;
  return out.str();
}

}  // namespace

std::string human_bytes(std::int64_t bytes) {
  constexpr std::array<const char*, 6> units = {"B", "kB", "MB", "GB", "TB", "PB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (std::abs(value) >= 999.5 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  return cat(fixed_digits(value, unit == 0 || std::abs(value) >= 100 ? 0 : 1), ' ', units[unit]);
}

std::string human_seconds(double seconds) {
  if (!(seconds >= 0 && seconds < 1e15)) return "?";
  if (seconds < 10) return fixed_digits(seconds, 1) + " s";
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

std::string human_flop(double tera) {
  if (!std::isfinite(tera)) return "-";
  constexpr std::array<const char*, 7> units = {"FLOP", "kFLOP", "MFLOP", "GFLOP", "TFLOP", "PFLOP", "EFLOP"};
  double value = tera * 1e12;
  std::size_t unit = 0;
  while (std::abs(value) >= 999.5 && unit + 1 < units.size()) {
    value /= 1000;
    ++unit;
  }
  const int decimals = unit == 0 || std::abs(value) >= 99.95 ? 0 : std::abs(value) >= 9.995 ? 1 : 2;
  return cat(fixed_digits(value, decimals), ' ', units[unit]);
}

std::string human_share(double share) {
  return cat(fixed_digits(100 * share, std::abs(share) >= 0.9995 ? 0 : 1), " %");
}

std::string human_number(double value, int digits) {
  if (!std::isfinite(value)) return "-";
  std::array<char, 64> text{};
  std::snprintf(text.data(), text.size(), "%.*g", digits, value);
  return text.data();
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

}  // namespace rehyat
