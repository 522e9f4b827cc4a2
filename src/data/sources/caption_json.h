#pragma once

#include <nlohmann/json.hpp>
#include <string>

namespace rehyat::data {

/// The string at `key` of an object that describes a clip; "" where the key is missing or null, which is how pandas and
/// Python write what is not there. Throws UserError with `where` for another type.
std::string string_or_null(const nlohmann::ordered_json& object, const char* key, const std::string& where);

/// The same where the key must be there; `form` shows what an object has to look like.
std::string string_or_null_of(const nlohmann::ordered_json& object, const char* key, const std::string& where,
                              const char* form);

/// A string that must be there and not null.
std::string required_string(const nlohmann::ordered_json& object, const char* key, const std::string& where,
                            const char* form);

}  // namespace rehyat::data
