#pragma once

#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <string>
#include <vector>

#include "ops/linear.h"
#include "ops/row_ops.h"
#include "tensor/replica.h"

namespace rehyat::models {

/// A linear layer whose float32 weights are used in the type of its input: matrix products run in the compute type over
/// float32 masters, by a copy of them that is made once for each change (tensor/replica.h).
class DenseImpl : public torch::nn::Module, public HasReplicas {
 public:
  /// `of_products`: whether its inputs come in the type of the products, as those of blocks do, or in float32.
  DenseImpl(std::int64_t in, std::int64_t out, bool of_products = true);
  /// [..., in] -> [..., out] in x's type.
  at::Tensor forward(const at::Tensor& x) const;
  /// Weight and bias as a product in `type` takes them.
  ops::LinearWeights weights(at::ScalarType type) const;

  std::vector<Replica*> replicas() override;

  at::Tensor weight, bias;

 private:
  bool of_products_;
  Replica weight_copy_, bias_copy_;
};
TORCH_MODULE(Dense);

/// x / rms(x) * weight over the last dimension, in float32, returned in x's type.
class RmsNormImpl : public torch::nn::Module {
 public:
  RmsNormImpl(std::int64_t width, double eps);
  /// x [B,N,width] -> [B,heads,N,width/heads], normalised over the whole width and, with `rope`, rotated.
  at::Tensor forward(const at::Tensor& x, std::int64_t heads, const ops::RopeTables* rope = nullptr) const;

  at::Tensor weight;

 private:
  double eps_;
};
TORCH_MODULE(RmsNorm);

/// The replica of each weight of a model that its products alone read.
std::vector<Replica*> replicas_of(const torch::nn::Module& model);

/// A module that only holds others, so that parameters have the dotted names of the published files.
class ModuleGroupImpl : public torch::nn::Module {};
TORCH_MODULE(ModuleGroup);

}  // namespace rehyat::models
