#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>

namespace rehyat::app {

/// Runs one form of hybrid attention on the inputs of a fixture and compares with its outputs, in the file's precision.
/// Tensors: q, k, v [B,A,N,D], phi_q, phi_k [B,A,N,F], dy, and the expected y, dq, dk, dv, dphi_q, dphi_k (those that
/// are there; the recurrent form has no gradients). Metadata: slices, kind, tc, to, causal, normalizer, rate.
/// max_rel_error is, over all tensors, the largest difference divided by the tensor's largest reference value,
/// undivided where that is 0.
nlohmann::ordered_json attention_parity(const std::filesystem::path& fixture, const std::string& form);

}  // namespace rehyat::app
