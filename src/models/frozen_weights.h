#pragma once

#include <torch/nn/module.h>

#include <utility>
#include <vector>

#include "tensor/replica.h"

namespace rehyat::models {

/// While it lives, the weights of a model that want no gradient and that its products alone read are on their device in
/// the type of the products only; their float32 numbers wait in host memory and come back in the end.
class FrozenWeights {
 public:
  FrozenWeights(const torch::nn::Module& model, at::ScalarType compute);
  ~FrozenWeights();
  FrozenWeights(const FrozenWeights&) = delete;
  FrozenWeights& operator=(const FrozenWeights&) = delete;

  std::size_t count() const { return lent_.size(); }

 private:
  std::vector<std::pair<Replica*, at::Tensor>> lent_;  ///< with the numbers
};

/// For a model that is only run: its products' weights are of the products' type from now on, which halves their memory
/// and changes no result.
void narrow_weights(const torch::nn::Module& model, at::ScalarType compute);

}  // namespace rehyat::models
