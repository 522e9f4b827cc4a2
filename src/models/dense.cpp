#include "models/dense.h"

#include <torch/torch.h>

namespace rehyat::models {

DenseImpl::DenseImpl(std::int64_t in, std::int64_t out) {
  weight = register_parameter("weight", torch::empty({out, in}));
  bias = register_parameter("bias", torch::zeros({out}));
}

torch::Tensor DenseImpl::forward(const torch::Tensor& x) const {
  return torch::linear(x, weight.to(x.scalar_type()), bias.to(x.scalar_type()));
}

RmsNormImpl::RmsNormImpl(std::int64_t width, double eps) : eps_(eps) {
  weight = register_parameter("weight", torch::ones({width}));
}

torch::Tensor RmsNormImpl::forward(const torch::Tensor& x) const {
  const torch::Tensor wide = x.scalar_type() == torch::kDouble ? x : x.to(torch::kFloat);
  return (wide * torch::rsqrt(wide.square().mean(-1, true) + eps_) * weight.to(wide.scalar_type())).to(x.scalar_type());
}

}  // namespace rehyat::models
