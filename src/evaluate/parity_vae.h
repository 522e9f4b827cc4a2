#pragma once

#include <nlohmann/json.hpp>

#include "evaluate/parity.h"

namespace rehyat::evaluate {

/// The VAE of the folder (or file) `weights` in float32 (float64 where the fixture is) against a fixture: `video`
/// [B,3,T,H,W] in [-1,1] -> `latents`, the mode of the posterior before normalisation, and `logvar` where the fixture
/// has it. Its metadata may ask for tiling: "tiling": {"tile_height": ..., "tile_width": ..., "stride_height": ...,
/// "stride_width": ...} in pixels. Throws UserError.
nlohmann::ordered_json vae_encode_parity(const ParityRequest& request);

/// The same the other way round: `latents` [B,z,T,h,w], not normalised -> `video`.
nlohmann::ordered_json vae_decode_parity(const ParityRequest& request);

}  // namespace rehyat::evaluate
