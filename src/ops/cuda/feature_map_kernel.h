#pragma once

#include <cstdint>

#include "ops/activation.h"

/// What a poly_mlp feature map does between its matrix products, as CUDA kernels: float32 inside, one rounding at the
/// end. Know no libtorch, so that nvcc never sees its headers.
namespace rehyat::ops::cuda {

enum class MapType { f32, bf16, f16 };

/// A contiguous [samples, heads, rows, width]; groups = samples * heads. Pointers start at multiples of 32 bytes.
struct MapRows {
  std::int64_t groups = 0, heads = 1, rows = 0, width = 0;
};

/// Whether the kernels serve rows of `width` numbers: divisible by 8, at most 2048.
bool serves_width(std::int64_t width);

/// Into how many parts the rows of a group are cut. A backward kernel writes one sum of bias gradients a part, which
/// makes the whole sum independent of timing.
std::int64_t map_parts(const MapRows& rows);

/// y = activation(product + bias); bias [heads, width]. y may be the product.
const char* launch_hidden(const MapRows& rows, MapType type, const void* product, const float* bias,
                          Activation activation, void* y, void* stream);

/// dx = dy * activation'(product + bias), and bias_parts [parts, groups, width] = sums of dx over the rows of a part.
/// dx may be dy. y, where not null, gets activation(product + bias).
const char* launch_hidden_backward(const MapRows& rows, MapType type, const void* product, const float* bias,
                                   Activation activation, const void* dy, void* dx, void* y, float* bias_parts,
                                   void* stream);

/// y = nonnegative(product + bias)^i, where i = 1 + column / slice_width; slice_width divisible by 8.
const char* launch_powers(const MapRows& rows, MapType type, const void* product, const float* bias, NonNegative sign,
                          std::int64_t slice_width, void* y, void* stream);

/// The gradient of launch_powers with respect to the product, and the parts of the bias's.
const char* launch_powers_backward(const MapRows& rows, MapType type, const void* product, const float* bias,
                                   NonNegative sign, std::int64_t slice_width, const void* dy, void* dx,
                                   float* bias_parts, void* stream);

}  // namespace rehyat::ops::cuda
