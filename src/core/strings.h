#pragma once

#include <cstdint>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

namespace rehyat {

/// The arguments, printed one after the other: `cat("row ", 3, " of ", n)`.
template <typename... Args>
std::string cat(const Args&... args) {
  std::ostringstream out;
  (out << ... << args);
  return out.str();
}

std::string join(const std::vector<std::string>& parts, std::string_view separator);
std::vector<std::string> split(std::string_view text, char separator);
std::string_view trim(std::string_view text);

/// The candidate with the least edit distance to `name`, or "" if none is near enough to be meant.
std::string nearest(std::string_view name, const std::vector<std::string>& candidates);

/// Text from a file or a user, fit for a message: at most `longest` bytes, with "?" in place of each control character
/// and of each byte that is not UTF-8.
std::string excerpt(std::string_view text, std::size_t longest = 80);
/// ":line:column" of the place that follows the text `before`; both count from 1, columns in characters.
std::string text_position(std::string_view before);

/// "[2, 3, 4]".
std::string shape_string(const std::vector<std::int64_t>& shape);

}  // namespace rehyat
