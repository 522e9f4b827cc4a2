#pragma once

#include <cstdint>
#include <string>
#include <string_view>

/// Quantities with their units, as people write and read them.
namespace rehyat {

/// "1.5 GB" (powers of 1000), "12 min 30 s", "1,234,567".
std::string human_bytes(std::int64_t bytes);
std::string human_seconds(double seconds);
std::string human_count(std::int64_t count);
/// 10^12 operations as "4.30 TFLOP", "21.4 GFLOP" or "1.20 EFLOP".
std::string human_flop(double tera);
/// A share of 1 as "5.1 %".
std::string human_share(double share);
/// The value with so many significant digits; "-" where it is not finite.
std::string human_number(double value, int digits = 4);

/// "500GB", "64 MiB" or "1000" to bytes; throws UserError that names `what`.
std::int64_t parse_bytes(std::string_view text, std::string_view what);

}  // namespace rehyat
