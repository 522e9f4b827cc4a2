#include "data/sources/caption_json.h"

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::data {
namespace {

void require_key(const nlohmann::ordered_json& object, const char* key, const std::string& where, const char* form) {
  require(object.contains(key), [&] { return to_sentence({where, cat("no \"", key, "\""), form, ""}); });
}

}  // namespace

std::string string_or_null(const nlohmann::ordered_json& object, const char* key, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end() || found->is_null()) return "";
  require(found->is_string(), [&] {
    return to_sentence({where, cat("\"", key, "\" of type ", found->type_name()), "a string", ""});
  });
  return *found;
}

std::string string_or_null_of(const nlohmann::ordered_json& object, const char* key, const std::string& where,
                              const char* form) {
  require_key(object, key, where, form);
  return string_or_null(object, key, where);
}

std::string required_string(const nlohmann::ordered_json& object, const char* key, const std::string& where,
                            const char* form) {
  require_key(object, key, where, form);
  require(!object.at(key).is_null(), [&] {
    return to_sentence({where, cat("\"", key, "\" of type null"), "a string", ""});
  });
  return string_or_null(object, key, where);
}

}  // namespace rehyat::data
