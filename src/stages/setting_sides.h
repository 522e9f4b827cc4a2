#pragma once

#include <nlohmann/json.hpp>
#include <string>

/// Which settings make another stage of a stage, and which may change while it is under way.
namespace rehyat::stages {

enum class Side {
  result,  ///< another value is another result: part of the identity
  speed,   ///< time and memory; the result differs by rounding at most, as it does by the number of ranks
  record,  ///< how often something is written or said, and how much of it is kept
  place,   ///< where files lie: their content is part of the identity, their path is not
  limit    ///< what is refused, warned of or estimated
};

/// Of a setting by its dotted name, "pretrain.micro_batch". Throws std::logic_error for one that the table does not
/// place: whoever adds a setting decides its side.
Side side_of(const std::string& setting);

/// The settings of one section of the config that decide a result: `section` is its name, `settings` what
/// config::to_json makes of it.
nlohmann::ordered_json deciding(const std::string& section, const nlohmann::ordered_json& settings);

}  // namespace rehyat::stages
