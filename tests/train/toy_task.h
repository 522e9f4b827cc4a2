#pragma once

#include <functional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "core/rng.h"
#include "tensor/random.h"
#include "train/task.h"

namespace rehyat::testing {

/// A small regression whose samples are functions of (step, sample), shared out over ranks and micro-batches.
class ToyTask : public train::Task {
 public:
  static constexpr std::int64_t kBatch = 8;

  explicit ToyTask(const comm::Communicator& world, std::int64_t micro_batches = 1)
      : world_(world), micro_batches_(micro_batches) {
    Rng rng(1, "toy.start");
    weight_ = (0.3 * randn(rng, {3, 5})).set_requires_grad(true);
    bias_ = at::zeros({3}).set_requires_grad(true);
  }

  std::vector<train::NamedParameter> parameters() override { return {{"weight", weight_}, {"bias", bias_}}; }
  std::int64_t micro_batches() const override { return micro_batches_; }
  std::int64_t samples_per_step() const override { return kBatch; }

  at::Tensor loss(std::int64_t step, std::int64_t micro) override {
    const std::int64_t shares = world_.size() * micro_batches_, share = world_.rank() * micro_batches_ + micro;
    at::Tensor total = at::zeros({});
    for (std::int64_t i = share * kBatch / shares; i < (share + 1) * kBatch / shares; ++i)
      total = total + sample_loss(static_cast<std::uint64_t>(step), static_cast<std::uint64_t>(i)) / kBatch;
    return change_loss ? change_loss(step, total) : total;
  }

  nlohmann::ordered_json validate() override {
    const at::NoGradGuard no_grad;
    ++validations;
    double sum = 0;
    for (std::uint64_t i = 0; i < 32; ++i) sum += sample_loss(1'000'000, i).item<double>();
    return {{"held_out", sum / 32}};
  }

  std::function<at::Tensor(std::int64_t, const at::Tensor&)> change_loss;
  int validations = 0;

 private:
  at::Tensor sample_loss(std::uint64_t step, std::uint64_t sample) {
    Rng rng(2, "toy.sample", {step, sample});
    const at::Tensor x = randn(rng, {5});
    const at::Tensor target = at::stack({x[0] + 2 * x[1], x[2].sin(), x[3] * x[4]});
    return (at::mv(weight_, x) + bias_ - target).square().mean();
  }

  const comm::Communicator& world_;
  std::int64_t micro_batches_;
  at::Tensor weight_, bias_;
};

}  // namespace rehyat::testing
