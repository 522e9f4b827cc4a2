#include "train/optimizer.h"

#include <ATen/ops/_fused_adamw.h>

#include <map>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::train {

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

AdamW::AdamW(const std::vector<NamedParameter>& parameters, const TrainConfig& config)
    : parameters_(parameters), config_(config) {
  for (const NamedParameter& p : parameters_) {
    mean_.push_back(at::zeros_like(p.tensor));
    square_.push_back(at::zeros_like(p.tensor));
    steps_.push_back(at::zeros({}, p.tensor.options().dtype(at::kFloat)));
  }
}

void AdamW::step(double lr) {
  const at::NoGradGuard no_grad;
  std::vector<at::Tensor> weights, gradients;
  for (std::size_t i = 0; i < parameters_.size(); ++i) {
    weights.push_back(parameters_[i].tensor);
    const at::Tensor& g = parameters_[i].tensor.grad();
    gradients.push_back(g.defined() ? g : at::zeros_like(parameters_[i].tensor));
    steps_[i] += 1;
  }
  if (weights.empty()) return;
  at::_fused_adamw_(weights, gradients, mean_, square_, {}, steps_, lr, config_.beta1, config_.beta2,
                    config_.weight_decay, config_.eps, false, false);
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

Ema::Ema(const std::vector<NamedParameter>& parameters, double decay) : parameters_(parameters), decay_(decay) {
  for (const NamedParameter& p : parameters_) average_.push_back(p.tensor.detach().clone());
}

void Ema::update() {
  const at::NoGradGuard no_grad;
  for (std::size_t i = 0; i < average_.size(); ++i) average_[i].lerp_(parameters_[i].tensor, 1 - decay_);
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
  for (std::size_t i = 0; i < average_.size(); ++i) {
    at::Tensor target = parameters_[i].tensor;
    const at::Tensor current = target.detach().clone();
    target.copy_(average_[i]);
    average_[i].copy_(current);
  }
}

}  // namespace rehyat::train
