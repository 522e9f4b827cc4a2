#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

/// The one way in which JSON that somebody else wrote is read.
namespace rehyat {

/// Limits against hostile JSON: what nests deeply ends the stack of whoever walks it.
struct JsonLimits {
  std::size_t depth = 64;            ///< of objects and lists
  std::size_t members = 1'000'000;   ///< names in one object
  std::size_t values = 20'000'000;   ///< in the whole text
  std::string_view hint = "";        ///< how to mend it, at the end of every message
  std::string_view what = "JSON";    ///< what the text is expected to be
  std::uint64_t bytes = 1ULL << 30;  ///< of a file
};

/// In time linear in the text. Throws UserError with `where`:line:column and the reason on text that is not JSON or not
/// UTF-8, on repeated keys (which libraries settle in silence) and beyond the limits. A UTF-8 mark in front is passed
/// over; what else the first bytes tell (UTF-16, a Git LFS pointer, a web page) is said.
nlohmann::ordered_json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits = {});
/// The same of one value in a file of many (JSON lines), which begins in line `line`.
nlohmann::ordered_json parse_json_line(std::string_view text, const std::filesystem::path& file, std::size_t line,
                                       const JsonLimits& limits = {});
/// The same of a file; where it must be an object, anything else is an error too.
nlohmann::ordered_json read_json(const std::filesystem::path& path, const JsonLimits& limits = {});
nlohmann::ordered_json read_json_object(const std::filesystem::path& path, const JsonLimits& limits = {});
/// Nothing where the text is unfit: for lines that a killed run may have left half written.
std::optional<nlohmann::ordered_json> parse_json_if(std::string_view text);

}  // namespace rehyat
