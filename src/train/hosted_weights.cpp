#include "train/hosted_weights.h"

#include <ATen/ops/_foreach_copy.h>

#include <algorithm>

#include "core/log.h"

namespace rehyat::train {
namespace {

std::vector<NamedParameter> with_replicas(const std::vector<NamedParameter>& parameters) {
  std::vector<NamedParameter> out;
  std::copy_if(parameters.begin(), parameters.end(), std::back_inserter(out),
               [](const NamedParameter& p) { return p.replica != nullptr; });
  return out;
}

std::vector<std::vector<std::int64_t>> sizes_of(const std::vector<NamedParameter>& parameters) {
  std::vector<std::vector<std::int64_t>> out;
  for (const NamedParameter& p : parameters) out.push_back(p.tensor.sizes().vec());
  return out;
}

}  // namespace

HostedWeights::HostedWeights(const std::vector<NamedParameter>& parameters, std::int64_t shard_numbers)
    : hosted_(with_replicas(parameters)),
      arrays_(sizes_of(hosted_), parameters.front().tensor.device(), shard_numbers),
      masters_(arrays_.zeros()) {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (parameters[i].replica != nullptr) which_.push_back(i);
  }
  for (std::size_t i = 0; i < hosted_.size(); ++i) {
    const NamedParameter& p = hosted_[i];
    masters_.tensors[i].copy_(p.tensor);
    p.replica->lend_out(p.tensor.detach().to(p.compute, false, true));
  }
}

HostedWeights::~HostedWeights() {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < hosted_.size(); ++i) {
    at::Tensor numbers = masters_.tensors[i];
    try {
      numbers = numbers.to(hosted_[i].tensor.device(), at::kFloat, false, true);
    } catch (const c10::Error& error) {  // after an error the device may have no room: the host's numbers then
      log::debug("a weight stays in host memory: ", error.what_without_backtrace());
    }
    hosted_[i].replica->give_back(numbers);
  }
}

at::Tensor HostedWeights::numbers(const NamedParameter& parameter) const {
  for (std::size_t i = 0; i < hosted_.size() && is_hosted(parameter); ++i) {
    if (hosted_[i].replica == parameter.replica) return masters_.tensors[i];
  }
  return parameter.tensor.detach();
}

void HostedWeights::rewrite(const std::vector<std::size_t>& hosted, const std::vector<at::Tensor>& numbers) const {
  std::vector<at::Tensor> copies;
  for (const std::size_t i : hosted) copies.push_back(hosted_[i].replica->rewrite());
  at::_foreach_copy_(copies, numbers);
}

void HostedWeights::refresh() {
  arrays_.pass({{&masters_, false}}, [&](const auto& hosted, const auto& numbers) { rewrite(hosted, numbers[0]); });
}

}  // namespace rehyat::train
