#pragma once

#include <cstdint>

#include "ops/activation.h"

/// The recipe's feature map, D = 128 to a hidden layer of 256 to F = 256 in bf16 (degree 2), as kernels for compute
/// capability 9.0: a head's weights stay in shared memory while its tokens pass, so that the hidden layer never touches
/// memory. Knows no libtorch. Functions that launch return the runtime's message, or null.
namespace rehyat::ops::cuda {

constexpr std::int64_t kHopperWidth = 128, kHopperHidden = 256, kHopperFeatures = 256;

/// Rows [batch, heads, tokens, width] of bf16 numbers: strides in numbers, those of the last dimension adjoin. The
/// address and the strides are multiples of 8 numbers.
struct HopperRows {
  void* data = nullptr;
  std::int64_t batch_stride = 0, head_stride = 0, token_stride = 0;
};

struct HopperShape {
  std::int64_t batch = 1, heads = 1, tokens = 0;
};

/// bf16 weights [heads,128,256] and [heads,256,256] and float32 biases [heads,256], contiguous.
struct HopperWeights {
  const void *first = nullptr, *second = nullptr;
  const float *first_bias = nullptr, *second_bias = nullptr;
};

/// Whether the program holds the kernels and the device can run them.
bool hopper_map_serves(int device);

/// Bytes of one head in the image of weights and biases that launch_hopper_pack writes: as the kernels want them in
/// shared memory.
std::int64_t hopper_image_bytes();

const char* launch_hopper_pack(const HopperWeights& weights, std::int64_t heads, void* image, void* stream);

/// y [.., 256] = features of x [.., 128].
const char* launch_hopper_forward(const HopperShape& shape, const HopperRows& x, const void* image,
                                  Activation activation, NonNegative sign, const HopperRows& y, int device,
                                  void* stream);

/// What a backward pass leaves for the gradients of the weights, each [batch, heads, tokens, 256] of bf16 numbers: the
/// hidden layer, and the gradients of the first and of the second product with bias.
struct HopperGradients {
  HopperRows hidden, dhidden, dfeatures;
};

/// dx, unless its address is null, and `parts` from x, dy [.., 256] and the image.
const char* launch_hopper_backward(const HopperShape& shape, const HopperRows& x, const HopperRows& dy,
                                   const void* image, Activation activation, NonNegative sign, const HopperRows& dx,
                                   const HopperGradients& parts, int device, void* stream);

/// Gradients in float32, contiguous, of the shapes of HopperWeights; addresses at multiples of 16 bytes.
struct HopperWeightGradients {
  float *first = nullptr, *second = nullptr, *first_bias = nullptr, *second_bias = nullptr;
};

/// Bytes of `shares`, where the blocks of launch_hopper_weights leave what they added up.
std::int64_t hopper_share_bytes(const HopperShape& shape, int device);

/// The gradients of weights and biases, summed over tokens and samples in an order that depends on the device alone.
const char* launch_hopper_weights(const HopperShape& shape, const HopperRows& x, const HopperGradients& parts,
                                  void* shares, const HopperWeightGradients& to, int device, void* stream);

}  // namespace rehyat::ops::cuda
