#pragma once

#include <array>
#include <filesystem>

#include "evaluate/verify_result.h"
#include "models/model_registry.h"

namespace rehyat::evaluate {

/// Checks a model against itself, in float64: saved and read again it has the same bits and the same attention in each
/// block; the chunked form = the literal reference, and the recurrent form and chunk by chunk = the chunked form, for
/// the pattern of the checkpoint and for (Tc,To) = (1,0), (2,1), (3,1), (5,3), (3,4) on 23 slices, which leave
/// remainders. Latents of at most 4 x 4 patches: the equalities do not depend on the picture's size.
///
/// A check that the model has no form for is absent, and "not_applicable" says why. `model` and `tolerance` are left to
/// the caller, and `families` save the model and read it. Moves the model to float64 and shows progress.
VerifyResult verify_model(const models::VideoTransformer& model, const models::ModelRegistry& families,
                          std::array<std::int64_t, 2> latent_size, std::uint64_t seed);

/// The largest relative error that passes in float64.
constexpr double kTolerance = 1e-9;

/// The same of a model's folder or single file.
VerifyResult verify_folder(const std::filesystem::path& path, const models::ModelRegistry& families, at::Device device,
                           double tolerance = kTolerance);

}  // namespace rehyat::evaluate
