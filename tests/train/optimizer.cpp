#include "train/optimizer.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "tensor/random.h"
#include "train/reduce.h"

namespace rehyat::train {
namespace {

std::vector<NamedParameter> two_parameters() {
  Rng rng(1, "test.parameters");
  return {{"a", randn(rng, {3, 4}).set_requires_grad(true)}, {"b", randn(rng, {7}).set_requires_grad(true)}};
}

void set_gradients(const std::vector<NamedParameter>& parameters, std::uint64_t step) {
  Rng rng(2, "test.gradients", {step});
  for (const NamedParameter& p : parameters) p.tensor.mutable_grad() = randn(rng, p.tensor.sizes());
}

NamedTensors copies(const std::vector<NamedParameter>& parameters) {
  NamedTensors out;
  for (const NamedParameter& p : parameters) out.emplace_back(p.name, p.tensor.detach().clone());
  return out;
}

TEST(AdamW, FollowsThePaperWrittenOutInFloat64) {
  TrainConfig config;
  config.beta1 = 0.8;
  config.beta2 = 0.95;
  config.eps = 1e-3;
  config.weight_decay = 0.1;
  const auto parameters = two_parameters();
  AdamW optimizer(parameters, config);
  std::vector<at::Tensor> weight, mean, square;
  for (const NamedParameter& p : parameters) {
    weight.push_back(p.tensor.detach().to(at::kDouble));
    mean.push_back(at::zeros_like(weight.back()));
    square.push_back(at::zeros_like(weight.back()));
  }
  for (int step = 1; step <= 20; ++step) {
    const double lr = 0.01 * step;
    set_gradients(parameters, static_cast<std::uint64_t>(step));
    for (std::size_t i = 0; i < parameters.size(); ++i) {
      const at::Tensor g = parameters[i].tensor.grad().to(at::kDouble);
      mean[i] = 0.8 * mean[i] + 0.2 * g;
      square[i] = 0.95 * square[i] + 0.05 * g * g;
      const at::Tensor m = mean[i] / (1 - std::pow(0.8, step)), v = square[i] / (1 - std::pow(0.95, step));
      weight[i] = weight[i] * (1 - lr * 0.1) - lr * m / (v.sqrt() + 1e-3);
    }
    optimizer.step(lr);
    for (std::size_t i = 0; i < parameters.size(); ++i)
      ASSERT_TRUE(at::allclose(parameters[i].tensor.detach().to(at::kDouble), weight[i], 1e-5, 1e-6)) << step;
  }
}

TEST(AdamW, AParameterWithoutAGradientOnlyDecays) {
  TrainConfig config;
  config.weight_decay = 0.5;
  const auto parameters = two_parameters();
  const NamedTensors before = copies(parameters);
  AdamW optimizer(parameters, config);
  parameters[0].tensor.mutable_grad() = at::ones({3, 4});
  optimizer.step(0.1);
  EXPECT_TRUE(at::allclose(parameters[1].tensor, before[1].second * 0.95));
  EXPECT_FALSE(at::allclose(parameters[0].tensor, before[0].second * 0.95));
}

TEST(AdamW, GoesOnBitForBitFromASavedState) {
  const TrainConfig config;
  const auto straight = two_parameters(), first = two_parameters(), second = two_parameters();
  AdamW one(straight, config), before(first, config), after(second, config);
  const testing::TempFolder folder;
  for (std::uint64_t step = 0; step < 10; ++step) {
    set_gradients(straight, step);
    one.step(1e-2);
    const bool late = step >= 5;
    set_gradients(late ? second : first, step);
    (late ? after : before).step(1e-2);
    if (step != 4) continue;
    write_tensors(folder / "state", before.state());
    const safetensors::Reader reader(folder / "state");
    NamedTensors read;
    for (const auto& info : reader.tensors()) read.emplace_back(info.name, read_tensor(reader, info));
    after.load(read, "state");
    copy_named(copies(first), {{"a", second[0].tensor.detach()}, {"b", second[1].tensor.detach()}}, "weights");
  }
  for (std::size_t i = 0; i < 2; ++i) EXPECT_TRUE(at::equal(straight[i].tensor, second[i].tensor));
}

TEST(AdamW, AForeignStateIsRefusedWithTheTensorsName) {
  const auto parameters = two_parameters();
  AdamW optimizer(parameters, {});
  NamedTensors state = optimizer.state();
  state.pop_back();
  testing::expect_error<UserError>([&] { optimizer.load(state, "run/checkpoint"); }, {"run/checkpoint", "'step.b'"});
  state = optimizer.state();
  state[0].second = at::zeros({4, 3});
  testing::expect_error<UserError>([&] { optimizer.load(state, "x"); }, {"'mean.a'", "[4, 3]", "[3, 4]"});
  state = optimizer.state();
  state.emplace_back("mean.c", at::zeros({1}));
  testing::expect_error<UserError>([&] { optimizer.load(state, "x"); }, {"'mean.c'", "expected none"});
}

TEST(Ema, IsTheGeometricAverageOfTheWeights) {
  const auto parameters = two_parameters();
  Ema ema(parameters, 0.9);
  at::Tensor expected = parameters[0].tensor.detach().to(at::kDouble);
  for (int step = 0; step < 5; ++step) {
    {
      const at::NoGradGuard no_grad;
      parameters[0].tensor.detach().add_(1.0);
    }
    ema.update();
    expected = 0.9 * expected + 0.1 * parameters[0].tensor.detach().to(at::kDouble);
  }
  EXPECT_TRUE(at::allclose(ema.state()[0].second.to(at::kDouble), expected, 1e-6, 1e-6));
  Ema other(parameters, 0.9);
  other.load(ema.state(), "x");
  const at::Tensor average = ema.state()[0].second.clone();
  other.swap();
  EXPECT_TRUE(at::equal(parameters[0].tensor, average));
  EXPECT_TRUE(parameters[0].tensor.requires_grad());
}

TEST(Gradients, NormAndScale) {
  const auto parameters = two_parameters();
  EXPECT_EQ(gradient_norm(parameters).item<double>(), 0);
  parameters[0].tensor.mutable_grad() = at::full({3, 4}, 3.0);
  EXPECT_NEAR(gradient_norm(parameters).item<double>(), 3 * std::sqrt(12.0), 1e-5);
  parameters[1].tensor.mutable_grad() = at::full({7}, -4.0);
  EXPECT_NEAR(gradient_norm(parameters).item<double>(), std::sqrt(9.0 * 12 + 16 * 7), 1e-5);
  scale_gradients(parameters, 0.5);
  EXPECT_NEAR(gradient_norm(parameters).item<double>(), std::sqrt(9.0 * 12 + 16 * 7) / 2, 1e-5);
  parameters[1].tensor.mutable_grad()[3] = std::nan("");
  EXPECT_TRUE(std::isnan(gradient_norm(parameters).item<double>()));
}

}  // namespace
}  // namespace rehyat::train
