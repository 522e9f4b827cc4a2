#pragma once

#include <nlohmann/json.hpp>

#include "evaluate/parity.h"

namespace rehyat::evaluate {

/// Walks a sampler over a fixture's model_output [steps, ...] from x[0] and compares with x [steps + 1, ...]; with
/// timesteps [steps] and sigmas [steps + 1] (or without the last 0) where the fixture has them. Ancestral samplers take
/// noise [steps, ...], whose last entry is not used and may be absent. Settings in the metadata: class (names of
/// diffusion/scheduler_config.h), steps, shift, grid; without a class, those of the scheduler_config.json in `weights`,
/// which is not needed otherwise. Throws UserError on what is missing or does not fit.
nlohmann::ordered_json scheduler_parity(const ParityRequest& request);

}  // namespace rehyat::evaluate
