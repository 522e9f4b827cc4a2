#pragma once

#include <ATen/ATen.h>

#include <string>
#include <vector>

#include "models/video_geometry.h"

namespace rehyat::models {

/// Video to latents and back.
class VideoCodec {
 public:
  virtual ~VideoCodec() = default;
  virtual VideoGeometry geometry() const = 0;
  /// RGB video [3, F, H, W] in [-1, 1] -> normalised latents [channels, T, h, w], as geometry() says. Throws UserError
  /// on other shapes.
  virtual at::Tensor encode(const at::Tensor& video) = 0;
  /// Where `encode` has its videos without a copy.
  virtual at::Device device() const { return at::kCPU; }
  /// Latents -> video.
  virtual at::Tensor decode(const at::Tensor& latents) = 0;
  /// Names the codec, its version and weights: a dataset made with another one is refused.
  virtual std::string fingerprint() const = 0;
  /// Frees the weights until they are used again.
  virtual void release() {}
};

/// Prompts to embeddings, zero-padded to a fixed length.
class TextEncoder {
 public:
  virtual ~TextEncoder() = default;
  /// [prompts, length, width], float32.
  virtual at::Tensor encode(const std::vector<std::string>& prompts) = 0;
  virtual std::string fingerprint() const = 0;
  /// Frees the weights until they are used again.
  virtual void release() {}
};

}  // namespace rehyat::models
