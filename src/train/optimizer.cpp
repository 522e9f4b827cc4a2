#include "train/optimizer.h"

#include <ATen/ops/_foreach_add.h>
#include <ATen/ops/_foreach_lerp.h>
#include <ATen/ops/_fused_adamw.h>

#include <map>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::train {
namespace {

/// The parameters that are not hosted.
std::vector<std::size_t> resident_of(const std::vector<NamedParameter>& parameters, const HostedWeights* hosted) {
  std::vector<std::size_t> out;
  for (std::size_t i = 0; i < parameters.size(); ++i) {
    if (hosted == nullptr || !hosted->is_hosted(parameters[i])) out.push_back(i);
  }
  return out;
}

std::vector<at::Tensor> numbers_of(const std::vector<NamedParameter>& parameters) {
  std::vector<at::Tensor> out;
  for (const NamedParameter& p : parameters) out.push_back(p.tensor.detach());
  return out;
}

template <typename T>
std::vector<T> chosen(const std::vector<T>& all, const std::vector<std::size_t>& which) {
  std::vector<T> out;
  for (const std::size_t i : which) out.push_back(all[i]);
  return out;
}

}  // namespace

void copy_named(const NamedTensors& from, const NamedTensors& to, const std::string& where) {
  const at::NoGradGuard no_grad;
  std::map<std::string, at::Tensor> found(from.begin(), from.end());
  for (const auto& [name, target] : to) {
    const auto source = found.find(name);
    require(source != found.end(), [&] { return cat(where, ": found no tensor '", name, "', expected one"); });
    require(source->second.sizes() == target.sizes(), [&] {
      return cat(where, ": tensor '", name, "': found shape ", shape_string(source->second.sizes().vec()),
                 ", expected ", shape_string(target.sizes().vec()));
    });
    at::Tensor destination = target;
    destination.copy_(source->second);
    found.erase(source);
  }
  require(found.empty(),
          [&] { return cat(where, ": found the tensor '", found.begin()->first, "', expected none of that name"); });
}

AdamW::AdamW(const std::vector<NamedParameter>& parameters, const TrainConfig& config, HostedWeights* hosted)
    : parameters_(parameters), config_(config), hosted_(hosted), resident_(resident_of(parameters, hosted)) {
  mean_.resize(parameters_.size());
  square_.resize(parameters_.size());
  for (const std::size_t i : resident_) {
    mean_[i] = at::zeros_like(parameters_[i].tensor);
    square_[i] = at::zeros_like(parameters_[i].tensor);
  }
  if (hosted_ != nullptr) {
    host_mean_ = hosted_->arrays().zeros();
    host_square_ = hosted_->arrays().zeros();
    for (std::size_t h = 0; h < hosted_->which().size(); ++h) {
      mean_[hosted_->which()[h]] = host_mean_.tensors[h];
      square_[hosted_->which()[h]] = host_square_.tensors[h];
    }
  }
  for (const NamedParameter& p : parameters_) steps_.push_back(at::zeros({}, p.tensor.options().dtype(at::kFloat)));
}

/// One step of these parameters, whose numbers and moments are given on the device.
void AdamW::update(std::vector<at::Tensor> weights, std::vector<at::Tensor> means, std::vector<at::Tensor> squares,
                   const std::vector<std::size_t>& which, double lr) {
  if (which.empty()) return;
  std::vector<at::Tensor> gradients, steps;
  for (const std::size_t i : which) {
    const at::Tensor& g = parameters_[i].tensor.grad();
    gradients.push_back(g.defined() ? g : at::zeros(parameters_[i].tensor.sizes(), parameters_[i].tensor.options()));
    steps.push_back(steps_[i]);
  }
  at::_foreach_add_(steps, 1);
  at::_fused_adamw_(weights, gradients, means, squares, {}, steps, lr, config_.beta1, config_.beta2,
                    config_.weight_decay, config_.eps, false, false);
  for (const at::Tensor& weight : weights) weight.unsafeGetTensorImpl()->bump_version();  // the kernel does not
}

void AdamW::step(double lr) {
  const at::NoGradGuard no_grad;
  update(chosen(numbers_of(parameters_), resident_), chosen(mean_, resident_), chosen(square_, resident_), resident_,
         lr);
  if (hosted_ == nullptr) return;
  hosted_->arrays().pass({{&hosted_->masters(), true}, {&host_mean_, true}, {&host_square_, true}},
                         [&](const std::vector<std::size_t>& shard, const auto& numbers) {
                           update(numbers[0], numbers[1], numbers[2], chosen(hosted_->which(), shard), lr);
                           hosted_->rewrite(shard, numbers[0]);
                         });
}

NamedTensors AdamW::state() const {
  NamedTensors out;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    out.emplace_back("mean." + parameters_[i].name, mean_[i]);
    out.emplace_back("square." + parameters_[i].name, square_[i]);
    out.emplace_back("step." + parameters_[i].name, steps_[i]);
  }
  return out;
}

void AdamW::load(const NamedTensors& saved, const std::string& where) {
  copy_named(saved, state(), where);
}

Ema::Ema(const std::vector<NamedParameter>& parameters, double decay, HostedWeights* hosted)
    : parameters_(parameters), hosted_(hosted), resident_(resident_of(parameters, hosted)), decay_(decay) {
  average_.resize(parameters_.size());
  for (const std::size_t i : resident_) average_[i] = parameters_[i].tensor.detach().clone();
  if (hosted_ == nullptr) return;
  host_average_ = hosted_->arrays().zeros();
  for (std::size_t s = 0; s < host_average_.shards.size(); ++s)
    host_average_.shards[s].copy_(hosted_->masters().shards[s]);
  for (std::size_t h = 0; h < hosted_->which().size(); ++h) average_[hosted_->which()[h]] = host_average_.tensors[h];
}

void Ema::update() {
  const at::NoGradGuard no_grad;
  if (!resident_.empty())
    at::_foreach_lerp_(chosen(average_, resident_), chosen(numbers_of(parameters_), resident_), 1 - decay_);
  if (hosted_ == nullptr) return;
  hosted_->arrays().pass({{&host_average_, true}, {&hosted_->masters(), false}},
                         [&](const std::vector<std::size_t>&, const auto& numbers) {
                           at::_foreach_lerp_(numbers[0], numbers[1], 1 - decay_);
                         });
}

NamedTensors Ema::state() const {
  NamedTensors out;
  for (std::size_t i = 0; i < average_.size(); ++i) out.emplace_back(parameters_[i].name, average_[i]);
  return out;
}

void Ema::load(const NamedTensors& saved, const std::string& where) {
  copy_named(saved, state(), where);
}

void Ema::swap() {
  const at::NoGradGuard no_grad;
  const auto exchange = [](at::Tensor one, at::Tensor other) {
    const at::Tensor kept = one.detach().clone();
    one.copy_(other);
    other.copy_(kept);
  };
  for (const std::size_t i : resident_) exchange(parameters_[i].tensor, average_[i]);
  if (hosted_ == nullptr) return;
  for (std::size_t s = 0; s < host_average_.shards.size(); ++s)
    exchange(hosted_->masters().shards[s], host_average_.shards[s]);
  hosted_->refresh();
}

}  // namespace rehyat::train
