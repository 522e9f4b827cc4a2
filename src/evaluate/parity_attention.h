#pragma once

#include <nlohmann/json.hpp>

#include "evaluate/parity.h"

namespace rehyat::evaluate {

/// Runs one form of hybrid attention on the inputs of a fixture and compares with its outputs, in the file's precision.
///
/// Tensors, all of one floating type: q, k, v [B,A,N,D], phi_q, phi_k [B,A,N,F] (not needed by softmax), the expected y
/// [B,A,N,D], and for the gradients dy [B,A,N,D] with any of dq, dk, dv, dphi_q, dphi_k. The recurrent form has no
/// gradients and compares y alone. What the file holds and nothing was compared with is named in "not_compared".
/// Metadata: slices and kind have to be there; else tc = 3, to = 1, causal = true, normalizer = joint, rate = 2, and
/// the keys that were assumed are named in "assumed".
/// Throws UserError with file and tensor on what does not fit.
nlohmann::ordered_json attention_parity(const ParityRequest& request);

}  // namespace rehyat::evaluate
