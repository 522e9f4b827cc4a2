#pragma once

#include <nlohmann/json.hpp>

#include "evaluate/parity.h"

namespace rehyat::evaluate {

/// Runs a UMT5 encoder on a fixture and compares. `weights`: see models::open_umt5. Tensors: input_ids [B,L] and
/// attention_mask [B,L] of any integer type, and the expected last_hidden_state [B,L,D], in whose type the encoder
/// computes. Throws UserError when one is missing or misshapen.
nlohmann::ordered_json text_parity(const ParityRequest& request);

}  // namespace rehyat::evaluate
