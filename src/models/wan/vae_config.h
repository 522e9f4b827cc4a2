#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "models/video_geometry.h"

namespace rehyat::models {

/// Frames that a video is encoded in at a time, the first apart.
constexpr std::int64_t kVaeChunk = 4;

/// Sizes of a Wan2.1 video VAE; the defaults are those of the published one.
struct VaeConfig {
  std::int64_t base_dim = 96;                                   ///< channels of the encoder's first stage
  std::int64_t decoder_base_dim = 96;                           ///< the same of the decoder's last stage
  std::int64_t z_dim = 16;                                      ///< latent channels
  std::vector<std::int64_t> dim_mult = {1, 2, 4, 4};            ///< channels of each stage in units of base_dim
  std::int64_t num_res_blocks = 2;                              ///< a stage of the encoder; the decoder has one more
  std::vector<double> attn_scales;                              ///< scales (1, 1/2, ...) of the encoder with attention
  std::vector<bool> temporal_downsample = {false, true, true};  ///< which downsamplings also halve time
  std::vector<double> latents_mean = {-0.7571, -0.7089, -0.9113, 0.1075,  -0.1745, 0.9653,  -0.1517, 1.5508,
                                      0.4134,  -0.0715, 0.5517,  -0.3632, -0.1922, -0.9497, 0.2503,  -0.2921};
  std::vector<double> latents_std = {2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743,
                                     3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160};
  std::int64_t in_channels = 3, out_channels = 3;

  std::int64_t stages() const { return static_cast<std::int64_t>(dim_mult.size()); }
  std::int64_t spatial_stride() const { return std::int64_t{1} << (stages() - 1); }
  std::int64_t temporal_stride() const;
  VideoGeometry geometry() const;
  /// Throws UserError, naming `where` and the key, on sizes that cannot be run: a temporal stride above kVaeChunk has
  /// no meaning.
  void validate(const std::string& where) const;
  bool operator==(const VaeConfig&) const = default;
};

/// "height / 8, width / 8": what messages say of a latent.
std::string sides_text(std::int64_t spatial_stride);

/// To and from the config.json of a diffusers AutoencoderKLWan (which spells it temperal_downsample). Throws UserError
/// on values that this program cannot run (the residual blocks and patches of Wan2.2) and on keys that it does not
/// know.
nlohmann::ordered_json to_diffusers_json(const VaeConfig& config);
VaeConfig vae_config_from_json(const nlohmann::ordered_json& json, const std::string& where);

}  // namespace rehyat::models
