#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

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
/// Nothing where the text is no such JSON. For files of ours that a killed run may have left half written.
std::optional<nlohmann::ordered_json> parse_json_if(std::string_view text);

/// Whether the value is one of this type: a boolean, a string, a number, or a whole number that T can hold. The library
/// converts numbers of all kinds in silence, and what it cannot convert ends in an exception that names no file.
template <typename T>
bool is_value_of(const nlohmann::ordered_json& value) {
  if constexpr (std::is_same_v<T, bool>) {
    return value.is_boolean();
  } else if constexpr (std::is_same_v<T, std::string>) {
    return value.is_string();
  } else if constexpr (std::is_floating_point_v<T>) {
    return value.is_number();
  } else {
    static_assert(std::is_integral_v<T>);
    if (value.is_number_unsigned()) return std::in_range<T>(value.get<std::uint64_t>());
    return value.is_number_integer() && std::in_range<T>(value.get<std::int64_t>());
  }
}

/// The value of that key where there is one of this type, else `absent`: for what is only remembered and may be
/// anything. `object` need not be one.
template <typename T>
T value_or(const nlohmann::ordered_json& object, const char* key, T absent) {
  if (!object.is_object()) return absent;
  const auto found = object.find(key);
  return found != object.end() && is_value_of<T>(*found) ? found->get<T>() : absent;
}

/// "the value 3", "a list": what a message says was found in place of what was expected.
std::string describe_json(const nlohmann::ordered_json& value);

/// The value of that key, `absent` where there is none. Throws UserError naming `where` and the key where it is of
/// another type.
template <typename T>
T value_at(const nlohmann::ordered_json& object, const char* key, T absent, const std::string& where);
extern template bool value_at(const nlohmann::ordered_json&, const char*, bool, const std::string&);
extern template std::string value_at(const nlohmann::ordered_json&, const char*, std::string, const std::string&);
extern template std::int64_t value_at(const nlohmann::ordered_json&, const char*, std::int64_t, const std::string&);

}  // namespace rehyat
