#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <string>
#include <vector>

#include "models/encoders.h"

/// The encoders that need no downloaded weights, behind the interfaces of the Wan VAE and UMT5.
namespace rehyat::models {

/// A fixed orthonormal space-time transform with the Wan VAE's geometry (models/embedded/block_transform.h). The first
/// frame stands alone (it is coded as a block of equal frames). decode(encode(x)) is the orthogonal projection
/// of x onto what 16 of 768 coefficients can express. Computed in float32 (float64 for float64), returned in the
/// input's dtype, on its device.
class BlockTransformCodec : public models::VideoCodec {
 public:
  BlockTransformCodec();

  VideoGeometry geometry() const override;
  /// RGB video [3, 4k+1, H, W] in [-1, 1] -> latents [16, 1+k, H/8, W/8] of about unit variance. Throws UserError on
  /// other shapes.
  at::Tensor encode(const at::Tensor& video) override;
  /// The transpose; values beyond [-1, 1] are left as they are.
  at::Tensor decode(const at::Tensor& latents) override;
  std::string fingerprint() const override;

 private:
  at::Tensor basis_;  // float64, on the CPU
};

struct SeededTextOptions {
  std::int64_t length = 64;  ///< rows; what is longer is cut
  std::int64_t width = 128;
  std::uint64_t seed = 1;
};

/// Words as seeded normal vectors (models/embedded/seeded_text.h), zero-padded like UMT5's output; an empty prompt is
/// one row, that of the end.
class SeededTextEncoder : public models::TextEncoder {
 public:
  /// Throws UserError on a length or width below 1.
  explicit SeededTextEncoder(const SeededTextOptions& options);

  /// [B, length, width], float32.
  at::Tensor encode(const std::vector<std::string>& prompts) override;
  std::string fingerprint() const override;

 private:
  SeededTextOptions options_;
};

}  // namespace rehyat::models
