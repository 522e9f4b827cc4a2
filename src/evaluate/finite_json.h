#pragma once

#include <nlohmann/json.hpp>

namespace rehyat::evaluate {

/// JSON has no infinity and no NaN: each becomes 1e308, and the object says "finite": false (true where none was).
nlohmann::ordered_json finite_json(nlohmann::ordered_json object);

}  // namespace rehyat::evaluate
