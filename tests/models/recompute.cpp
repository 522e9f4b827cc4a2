#include "models/recompute.h"

#include <gtest/gtest.h>

#include <map>

#include "models/small_wan.h"

namespace rehyat::models {
namespace {

using testing::every_attention;
using testing::small_wan;

/// x -> tanh(x w), with what it does on the way.
class Layer : public torch::nn::Module {
 public:
  Layer() { weight = register_parameter("weight", at::full({3, 3}, 0.25)); }

  at::Tensor run(Recompute recompute, const at::Tensor& x, const at::Tensor& shared) {
    return run_block(*this, recompute, {x, shared},
                     [this](const std::vector<at::Tensor>& in, ops::AttentionMemory* memory) {
                       remembered = memory != nullptr;
                       ++runs;
                       const at::Tensor inner = at::matmul(in[0], weight);
                       held = inner.storage().getWeakStorageImpl();
                       return inner.square() + in[1] * in[1].exp();
                     });
  }

  at::Tensor weight;
  int runs = 0;
  bool remembered = false;
  c10::weak_intrusive_ptr<c10::StorageImpl> held{c10::intrusive_ptr<c10::StorageImpl>()};  ///< of the inner tensor
};

TEST(Recompute, KeepsTheInputsAndRunsTheBlockAgain) {
  for (const Recompute recompute : {Recompute::none, Recompute::selective, Recompute::full}) {
    Layer layer;
    const at::Tensor x = at::ones({2, 3}).set_requires_grad(true), shared = at::ones({3});
    const at::Tensor y = layer.run(recompute, x, shared);
    EXPECT_EQ(layer.runs, 1);
    EXPECT_FALSE(shared.grad().defined());
    y.sum().backward();
    EXPECT_EQ(layer.runs, recompute == Recompute::none ? 1 : 2);
    EXPECT_EQ(layer.remembered, recompute == Recompute::selective);
    EXPECT_TRUE(x.grad().defined() && layer.weight.grad().defined());
    EXPECT_FALSE(shared.grad().defined());
  }
}

TEST(Recompute, WithoutGradientsTheBlockJustRuns) {
  Layer layer;
  const at::NoGradGuard no_grad;
  const at::Tensor y = layer.run(Recompute::full, at::ones({2, 3}), at::ones({3}));
  EXPECT_EQ(layer.runs, 1);
  EXPECT_FALSE(y.requires_grad());
}

TEST(Recompute, WhatIsFrozenGetsNoGradient) {
  for (const bool train_weight : {true, false}) {
    Layer layer;
    layer.weight.set_requires_grad(train_weight);
    const at::Tensor x = at::ones({2, 3}).set_requires_grad(!train_weight), shared = at::ones({3});
    layer.run(Recompute::full, x, shared).sum().backward();
    EXPECT_EQ(layer.weight.grad().defined(), train_weight);
    EXPECT_EQ(x.grad().defined(), !train_weight);
  }
}

TEST(Recompute, NothingOfABlockOutlivesTheForwardPass) {
  Layer layer;
  const at::Tensor x = at::ones({2, 3}).set_requires_grad(true);
  const at::Tensor y = layer.run(Recompute::full, x, at::ones({3}));
  EXPECT_TRUE(layer.held.expired());
  const at::Tensor all = layer.run(Recompute::none, x, at::ones({3}));
  EXPECT_FALSE(layer.held.expired());
}

TEST(Recompute, AChangeOfTheInputsInBetweenIsRefused) {
  Layer layer;
  const at::Tensor x = at::ones({2, 3}).set_requires_grad(true), scaled = x * 2;
  const at::Tensor y = layer.run(Recompute::full, scaled, at::ones({3}));
  {
    const at::NoGradGuard no_grad;
    scaled.add_(1);
  }
  EXPECT_THROW(y.sum().backward(), c10::Error);
}

/// Gradients of all weights, of the latents and of the text.
std::map<std::string, at::Tensor> gradients_with_inputs(WanTransformer& model, testing::WanInputs in,
                                                        const ForwardOptions& options) {
  Rng rng(6, "test.recompute");
  in.latents = in.latents.clone().set_requires_grad(true);
  in.text = in.text.clone().set_requires_grad(true);
  model->zero_grad();
  const at::Tensor out = model->forward(in.latents, in.timestep, in.text, options);
  (out * randn(rng, out.sizes()).to(out.scalar_type())).sum().backward();
  std::map<std::string, at::Tensor> result = {
      {"latents", in.latents.grad()}, {"text", in.text.grad()}, {"out", out.detach()}};
  for (const auto& item : model->named_parameters()) result[item.key()] = item.value().grad().clone();
  return result;
}

TEST(Recompute, ChangesNoBitOfAnyGradient) {
  const auto in = testing::wan_inputs();
  for (const BlockAttention& attention : every_attention()) {
    WanTransformer model = small_wan();
    testing::convert_all(model, attention);
    for (const auto type : {at::kFloat, at::kBFloat16}) {
      SCOPED_TRACE(ops::to_string(attention.spec) + ", " + at::toString(type));
      const auto expected = gradients_with_inputs(model, in, {.compute = type});
      for (const RecomputePlan& recompute :
           {RecomputePlan(Recompute::selective, Recompute::none, 1), RecomputePlan(Recompute::full)}) {
        const auto again = gradients_with_inputs(model, in, {.compute = type, .recompute = recompute});
        for (const auto& [name, gradient] : expected) EXPECT_TRUE(at::equal(again.at(name), gradient)) << name;
      }
    }
  }
}

TEST(Recompute, APlanSaysThePolicyOfEachBlock) {
  const RecomputePlan plan(Recompute::selective, Recompute::none, 2), all = Recompute::full;
  EXPECT_EQ(plan.of(0, 5), Recompute::selective);
  EXPECT_EQ(plan.of(2, 5), Recompute::selective);
  EXPECT_EQ(plan.of(3, 5), Recompute::none);
  EXPECT_EQ(plan.count(Recompute::none, 5), 2);
  EXPECT_EQ(plan.count(Recompute::selective, 5), 3);
  EXPECT_EQ(plan.count(Recompute::full, 5), 0);
  EXPECT_EQ(all.of(4, 5), Recompute::full);
  EXPECT_EQ(all.count(Recompute::full, 5), 5);
  EXPECT_EQ(to_string(plan), "selective, none in the last 2 blocks");
  EXPECT_EQ(to_string(all), "full");
}

TEST(Recompute, SelectiveDoesNotComputeTheAttentionAgain) {
  for (const std::size_t kind : {0U, 1U, 4U, 9U}) {
    SCOPED_TRACE(ops::to_string(every_attention()[kind].spec));
    const auto random = [](std::uint64_t which, std::vector<std::int64_t> sizes) {
      Rng rng(which, "test.recompute.memory");
      return randn(rng, sizes).set_requires_grad(true);
    };
    const at::Tensor q = random(1, {1, 2, 14, 12}), k = random(2, {1, 2, 14, 12}), v = random(3, {1, 2, 14, 12}),
                     phi_q = random(4, {1, 2, 14, 6}).square(), phi_k = random(5, {1, 2, 14, 6}).square();
    const ops::AttentionSpec spec = every_attention()[kind].spec;
    ops::AttentionMemory memory;
    const auto run = [&] {
      return ops::hybrid_attention(q, k, v, phi_q, phi_k, 7, spec, {}, ops::FeatureSign::any, &memory);
    };
    const at::Tensor first = run();
    ASSERT_FALSE(memory.empty());
    EXPECT_FALSE(memory.y.requires_grad());
    // What is remembered is what comes out.
    memory.y = memory.y + 1;
    EXPECT_TRUE(at::equal(run(), first + 1));
    EXPECT_TRUE(memory.empty());
  }
}

}  // namespace
}  // namespace rehyat::models
