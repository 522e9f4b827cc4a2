#pragma once

#include <ATen/core/Tensor.h>

#include <vector>

#include "ops/activation.h"

/// poly_mlp feature maps on a GPU: the recipe's sizes as one kernel a direction where fused_hopper_map.h serves them,
/// all others as the library's matrix products with one kernel behind each; a stub where the build has no CUDA. B
/// batch, A heads, N tokens.
namespace rehyat::ops {

struct PolyMap {
  std::vector<at::Tensor> weights;         ///< of layer i, [A,in,out]; any floating type; get the gradients
  std::vector<at::Tensor> biases;          ///< of layer i, [A,1,out]; used in float32
  std::vector<at::Tensor> narrow_weights;  ///< the numbers of `weights` in x's type, which the products read
  Activation activation = Activation::gelu;
  NonNegative nonnegative = NonNegative::softplus;
  std::int64_t slice_width = 0;  ///< column c of the embedding is raised to the power 1 + c / slice_width
};

/// Whether the kernels are built and serve x [B,A,N,D] and the widths of `map`: on a GPU, not float64, widths divisible
/// by 8 and at most 2048.
bool has_fused_map(const at::Tensor& x, const PolyMap& map);

/// The features [B,A,N,F] in x's type; bias and what follows are float32 with one rounding at the end of a layer.
/// Differentiable once in x, weights and biases.
at::Tensor fused_map(const at::Tensor& x, const PolyMap& map);

/// The same always by products, each of which is rounded to x's type before its bias. Keeps x and the products, and
/// computes the rest of the forward pass again.
at::Tensor map_by_products(const at::Tensor& x, const PolyMap& map);

}  // namespace rehyat::ops
