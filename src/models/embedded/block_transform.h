#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>

/// The arithmetic of the embedded video codec: an orthonormal transform of blocks of 4 frames x 8 x 8 pixels x 3
/// colours (768 numbers) of which 16 coefficients are kept.
namespace rehyat::models {

/// One kept coefficient. Its latent channel is (coefficient - mean) / scale.
struct TransformChannel {
  int colour;  ///< 0: (R+G+B)/sqrt 3, 1: (R-B)/sqrt 2, 2: (R-2G+B)/sqrt 6
  int time;    ///< temporal frequency of the DCT-II over 4 frames
  int row;     ///< vertical frequency of the DCT-II over 8 rows
  int column;  ///< horizontal frequency
  double mean, scale;
};

constexpr std::int64_t kTransformChannels = 16, kTransformTime = 4, kTransformSpace = 8;

/// The kept coefficients, in the order of the latent channels.
const std::array<TransformChannel, kTransformChannels>& transform_channels();

/// The kept rows of the transform, float64 [16, 3*4*8*8], columns in the order colour, frame, row, column. Orthonormal.
at::Tensor transform_basis();

/// Blocks of pixels [M, 768] in [-1, 1] -> latents [M, 16] and back (the transpose: the nearest blocks that the 16
/// coefficients can express). `basis` is transform_basis() on the tensor's device and in its dtype.
at::Tensor transform_forward(const at::Tensor& blocks, const at::Tensor& basis);
at::Tensor transform_backward(const at::Tensor& latents, const at::Tensor& basis);

}  // namespace rehyat::models
