#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

namespace rehyat::models {

/// Video to latents and back: the embedded block transform, or the Wan VAE.
class VideoCodec {
 public:
  virtual ~VideoCodec() = default;
  /// RGB video [3, 4k+1, H, W] in [-1, 1] -> normalised latents [16, 1+k, H/8, W/8]. Throws UserError on other shapes.
  virtual at::Tensor encode(const at::Tensor& video) = 0;
  /// Latents -> video [3, 4k+1, H, W].
  virtual at::Tensor decode(const at::Tensor& latents) = 0;
  /// Names the codec, its version and weights: a dataset made with another one is refused.
  virtual std::string fingerprint() const = 0;
};

/// Prompts to embeddings, zero-padded to a fixed length.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  /// [prompts, length, width], float32.
  virtual at::Tensor encode(const std::vector<std::string>& prompts) = 0;
  virtual std::string fingerprint() const = 0;
};

}  // namespace rehyat::models
