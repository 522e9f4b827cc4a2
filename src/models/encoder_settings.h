#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "models/wan/vae_options.h"
#include "tensor/precision.h"

namespace rehyat::models {

/// Type of a text encoder's weights and products; `stored`: that of its files.
enum class TextPrecision { stored, f32, bf16 };

/// How encoders with weights are run: keys of the `model` section.
struct EncoderSettings {
  Precision vae_precision = Precision::f32;  ///< of the VAE's features; its norms are float32
  Precision vae_weights_precision = Precision::f32;
  std::optional<VaeTiling> vae_tiling;  ///< none: frames are run whole
  TextPrecision text_precision = TextPrecision::stored;

  /// `have_weights`: whether there are such encoders, so that the keys have an effect; `when` follows "only ".
  void fields(config::Fields& f, const std::string& when, const std::function<bool()>& have_weights);
  /// The keys that are not at their defaults.
  std::vector<std::string> given() const;
  VaeOptions vae(at::Device device) const;
  /// Type of the text encoder; none: that of its files.
  std::optional<at::ScalarType> text() const;
};

}  // namespace rehyat::models
