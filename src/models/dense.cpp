#include "models/dense.h"

namespace rehyat::models {

DenseImpl::DenseImpl(std::int64_t in, std::int64_t out, bool of_products)
    : weight(register_parameter("weight", at::empty({out, in}))),
      bias(register_parameter("bias", at::zeros({out}))),
      of_products_(of_products),
      weight_copy_(weight),
      bias_copy_(bias) {}

at::Tensor DenseImpl::forward(const at::Tensor& x) const {
  const ops::LinearWeights w = weights(x.scalar_type());
  return at::linear(x, w.weight, w.bias);
}

ops::LinearWeights DenseImpl::weights(at::ScalarType type) const {
  return {weight_copy_.in(type), bias_copy_.in(type)};
}

std::vector<Replica*> DenseImpl::replicas() {
  return of_products_ ? std::vector<Replica*>{&weight_copy_} : std::vector<Replica*>();
}

std::vector<Replica*> replicas_of(const torch::nn::Module& model) {
  std::vector<Replica*> out;
  for (const auto& module : model.modules()) {
    if (auto* const holder = dynamic_cast<HasReplicas*>(module.get())) {
      const std::vector<Replica*> own = holder->replicas();
      out.insert(out.end(), own.begin(), own.end());
    }
  }
  return out;
}

RmsNormImpl::RmsNormImpl(std::int64_t width, double eps) : eps_(eps) {
  weight = register_parameter("weight", at::ones({width}));
}

at::Tensor RmsNormImpl::forward(const at::Tensor& x, std::int64_t heads, const ops::RopeTables* rope) const {
  const at::Tensor y = ops::rms_norm_heads(x, weight, eps_, heads, rope);
  return y.is_cpu() ? y.contiguous() : y;  // the kernels of GPUs take any strides
}

}  // namespace rehyat::models
