#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <optional>
#include <string>

#include "config/config.h"

namespace rehyat::models {

/// Overlapping spatial tiles for frames too large to be run at once, as diffusers' AutoencoderKLWan has them. In pixels
/// of the video; each a multiple of the VAE's spatial stride.
struct VaeTiling {
  std::int64_t tile_height = 256, tile_width = 256;      ///< frames no larger than that are run whole
  std::int64_t stride_height = 192, stride_width = 192;  ///< from one tile to the next; the rest is blended
  /// Keep what the causal layers remember of a tile in the CPU's memory while another tile runs.
  bool offload = false;

  /// Whether a frame of this size is cut in tiles.
  bool cuts(std::int64_t height, std::int64_t width) const { return height > tile_height || width > tile_width; }
  void fields(config::Fields& f);
  /// Throws UserError unless sizes are multiples of `spatial_stride` and strides at most the tiles.
  void validate(std::int64_t spatial_stride) const;
};

/// Where and how a VAE runs.
struct VaeOptions {
  at::Device device = at::kCPU;
  at::ScalarType compute = at::kFloat;  ///< of features; norms are float32 at least
  at::ScalarType weights = at::kFloat;  ///< that the weights are held in; they are converted where they are used
  std::optional<VaeTiling> tiling;
  std::int64_t together = 0;  ///< latent frames that run together, after the first; 0: 2 on a GPU, 1 on a CPU
};

/// The part of the options that changes latents, types and tiles, for a fingerprint; empty for the defaults.
std::string latent_settings(const VaeOptions& options);

}  // namespace rehyat::models
