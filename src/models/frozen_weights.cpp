#include "models/frozen_weights.h"

#include "core/log.h"
#include "models/dense.h"

namespace rehyat::models {

FrozenWeights::FrozenWeights(const torch::nn::Module& model, at::ScalarType compute) {
  const at::NoGradGuard no_grad;
  for (Replica* const replica : replicas_of(model)) {
    const at::Tensor& weight = replica->weight();
    if (weight.requires_grad() || replica->lent_out() || weight.scalar_type() == compute) continue;
    lent_.emplace_back(replica, weight.detach().cpu());
    replica->lend_out(weight.detach().to(compute));
  }
}

FrozenWeights::~FrozenWeights() {
  const at::NoGradGuard no_grad;
  for (auto& [replica, numbers] : lent_) {
    try {
      numbers = numbers.to(replica->weight().device());
    } catch (const c10::Error& error) {  // after an error the device may have no room: the host's numbers then
      log::debug("a weight stays in host memory: ", error.what_without_backtrace());
    }
    replica->give_back(numbers);
  }
}

void narrow_weights(const torch::nn::Module& model, at::ScalarType compute) {
  const at::NoGradGuard no_grad;
  for (Replica* const replica : replicas_of(model)) {
    if (!replica->lent_out()) replica->give_back(replica->weight().detach().to(compute));
  }
}

}  // namespace rehyat::models
