#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>

#include "tensor/tensor_source.h"

namespace rehyat::models {

/// Sizes of a UMT5 encoder; the defaults are those of UMT5-XXL.
struct Umt5Config {
  std::int64_t vocabulary = 256384;
  std::int64_t width = 4096;  ///< of the residual stream
  std::int64_t layers = 24;
  std::int64_t heads = 64;
  std::int64_t head_width = 64;  ///< heads x head_width need not be the width
  std::int64_t feed_forward = 10240;
  std::int64_t buckets = 32;            ///< of relative positions, half of them for each direction
  std::int64_t max_distance = 128;      ///< from here on all positions share the last bucket
  double eps = 1e-6;                    ///< of the norms
  bool gated = true;                    ///< feed-forward: act(wi_0 x) * wi_1 x, or act(wi x)
  std::string activation = "gelu_new";  ///< as transformers names it

  /// Throws UserError, with `where` in front, on sizes or an activation that the encoder cannot run.
  void validate(const std::string& where) const;
  bool operator==(const Umt5Config&) const = default;
};

/// The config.json of a transformers UMT5EncoderModel or of the whole UMT5 model. Throws UserError naming `where`.
Umt5Config umt5_config_from_json(const nlohmann::ordered_json& json, const std::string& where);

/// Sizes read off tensors in transformers' names, for single files, which carry no config: a gated feed-forward with
/// tanh-GELU, distances up to 128 and eps 1e-6 as in every published UMT5. Throws UserError where tensors are missing.
Umt5Config umt5_config_from_tensors(const TensorSource& source);

/// One line with every setting, for fingerprints.
std::string describe(const Umt5Config& config);

}  // namespace rehyat::models
