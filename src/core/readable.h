#pragma once

#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace rehyat {

/// JSON as people read it: names and values aligned, lists of alike objects as tables, without a line break at the end.
/// Values have the units that their names say: `bytes`, `seconds`, `parameters`, `share`, `tflops` and `gpu_hours`,
/// alone or as a part of a name between underscores.
std::string readable(const nlohmann::ordered_json& value);

/// One value of that name, on one line.
std::string readable_value(std::string_view name, const nlohmann::ordered_json& value);

}  // namespace rehyat
