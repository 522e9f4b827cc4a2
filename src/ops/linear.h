#pragma once

#include <ATen/ATen.h>

#include <vector>

/// Products with weights as a transformer block needs them, differentiable. Weights are in the type of what they are
/// multiplied with.
namespace rehyat::ops {

/// y = x weight' + bias: weight [out,in], bias [out].
struct LinearWeights {
  at::Tensor weight, bias;
};

/// Several products of one x [..., in]: [..., out] each. x is kept once for the backward pass, and its gradient is
/// summed up by the products themselves.
std::vector<at::Tensor> linear_each(const at::Tensor& x, const std::vector<LinearWeights>& weights);

/// out(gelu(in(x))) with GELU in its tanh form: x [..., C] -> [..., C]. On a GPU GELU and its gradient are one kernel
/// each, and what lies between the products is kept once, before GELU.
at::Tensor feed_forward(const at::Tensor& x, const LinearWeights& in, const LinearWeights& out);

}  // namespace rehyat::ops
