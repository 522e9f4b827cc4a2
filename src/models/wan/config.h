#pragma once

#include <array>
#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "config/config.h"
#include "models/architecture.h"

namespace rehyat::models {

/// Sizes of a Wan2.1 text-to-video transformer; the defaults are those of the 1.3B model.
struct WanConfig {
  std::int64_t dim = 1536, layers = 30, heads = 12, ffn_dim = 8960;
  std::int64_t freq_dim = 256;  ///< width of the timestep's sinusoid
  std::int64_t text_dim = 4096, text_length = 512;
  std::int64_t in_channels = 16, out_channels = 16;
  std::int64_t patch = 2;  ///< height and width of a patch; in time it is 1
  double eps = 1e-6;

  void fields(config::Fields& f);
  void validate() const;
  std::int64_t head_width() const { return dim / heads; }
  Architecture architecture() const;
  bool operator==(const WanConfig&) const = default;
};

/// To and from the config.json of a diffusers WanTransformer3DModel, and that of an original WanModel, which leaves out
/// what never differs (the patch, the norms, the text width). Reading throws UserError, naming `where`, on values that
/// this program cannot run: another patch in time, other norms, a model conditioned on images or videos, unknown keys
/// that are neither null nor false.
nlohmann::ordered_json to_diffusers_json(const WanConfig& config);
WanConfig from_diffusers_json(const nlohmann::ordered_json& json, const std::string& where);
nlohmann::ordered_json to_original_json(const WanConfig& config);
WanConfig from_original_json(const nlohmann::ordered_json& json, const std::string& where);

}  // namespace rehyat::models
