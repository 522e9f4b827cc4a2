#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace rehyat::app {

struct ParityRequest {
  std::filesystem::path fixture;
  std::string form = "chunked";  ///< reference, chunked or recurrent
  at::Device device = at::kCPU;
};

/// Runs one form of hybrid attention on the inputs of a fixture and compares with its outputs, in the file's precision.
///
/// Tensors, all of one floating type: q, k, v [B,A,N,D], phi_q, phi_k [B,A,N,F] (not needed by softmax), the expected y
/// [B,A,N,D], and for the gradients dy [B,A,N,D] with any of dq, dk, dv, dphi_q, dphi_k. The recurrent form has no
/// gradients and compares y alone. What the file holds and nothing was compared with is named in "not_compared".
/// Metadata: slices and kind have to be there; else tc = 3, to = 1, causal = true, normalizer = joint, rate = 2, and
/// the keys that were assumed are named in "assumed".
/// max_rel_error is, over all tensors, the largest difference divided by the tensor's largest reference value,
/// undivided where that is 0. Throws UserError with file and tensor on what does not fit.
nlohmann::ordered_json attention_parity(const ParityRequest& request);

/// The largest relative error that passes where none was asked for: 1e-9 for float64, 1e-5 for float32, 2e-2 for the
/// half types.
double default_tolerance(at::ScalarType type);

}  // namespace rehyat::app
