#include "evaluate/finite_json.h"

#include <cmath>

namespace rehyat::evaluate {
namespace {

/// Replaces in place; whether all were finite.
bool replace(nlohmann::ordered_json& value) {
  bool finite = true;
  if (value.is_structured()) {
    for (auto& item : value) finite = replace(item) && finite;
  } else if (value.is_number_float() && !std::isfinite(value.get<double>())) {
    value = 1e308;
    finite = false;
  }
  return finite;
}

}  // namespace

nlohmann::ordered_json finite_json(nlohmann::ordered_json object) {
  object["finite"] = replace(object);
  return object;
}

}  // namespace rehyat::evaluate
