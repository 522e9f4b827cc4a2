#pragma once

#include <nlohmann/json.hpp>

#include "evaluate/parity.h"

namespace rehyat::evaluate {

/// Runs the transformer in `weights` (any layout that load_model reads) on a fixture's hidden_states [B,C,T,H,W],
/// timestep [B], [1] or [] and encoder_hidden_states [B,L,text_dim], and compares with its sample [B,C,T,H,W]. Computed
/// in the type of hidden_states over float32 weights (float64 if it is float64). With grad_sample [B,C,T,H,W], the
/// gradient of a loss by the sample, also the gradients named grad.hidden_states, grad.encoder_hidden_states and
/// grad.PARAMETER (diffusers' names). Throws UserError on tensors that are missing or do not fit.
nlohmann::ordered_json transformer_parity(const ParityRequest& request);

}  // namespace rehyat::evaluate
