#include "models/frozen_weights.h"

#include <gtest/gtest.h>

#include "models/dense.h"
#include "models/small_wan.h"

namespace rehyat::models {
namespace {

using testing::small_wan;

TEST(FrozenWeights, ComputeTheSameAndComeBack) {
  WanTransformer model = small_wan();
  testing::convert_all(model, testing::every_attention()[1]);
  for (auto& item : model->named_parameters()) item.value().requires_grad_(item.key().starts_with("blocks.1."));
  const auto in = testing::wan_inputs();
  const ForwardOptions options{.compute = at::kBFloat16};
  const auto gradients = [&] {
    model->zero_grad();
    model->forward(in.latents, in.timestep, in.text, options).square().sum().backward();
    std::vector<at::Tensor> out;
    for (const at::Tensor& p : model->parameters()) {
      if (p.grad().defined()) out.push_back(p.grad().clone());
    }
    return out;
  };
  NamedTensors before;
  for (const auto& [name, tensor] : model->tensors(Weights::all)) before.emplace_back(name, tensor.detach().clone());
  const at::Tensor expected = testing::run(model, in, options);
  const std::vector<at::Tensor> expected_gradients = gradients();
  {
    const FrozenWeights frozen(*model, at::kBFloat16);
    // Of two blocks the projections of both attentions and both feed-forward layers, and two layers for the text.
    EXPECT_EQ(frozen.count(), 2U * (4 + 4 + 2) + 2);
    EXPECT_TRUE(at::equal(testing::run(model, in, options), expected));
    const std::vector<at::Tensor> found = gradients();
    ASSERT_EQ(found.size(), expected_gradients.size());
    for (std::size_t i = 0; i < found.size(); ++i) EXPECT_TRUE(at::equal(found[i], expected_gradients[i])) << i;
  }
  for (std::size_t i = 0; i < before.size(); ++i)
    EXPECT_TRUE(at::equal(model->tensors(Weights::all)[i].second, before[i].second)) << before[i].first;
}

TEST(NarrowWeights, ChangeNoResultOfThatType) {
  WanTransformer model = small_wan();
  testing::convert_all(model, testing::every_attention()[1]);
  for (auto& p : model->parameters()) p.requires_grad_(false);
  const auto in = testing::wan_inputs();
  const ForwardOptions options{.compute = at::kBFloat16};
  const at::Tensor expected = testing::run(model, in, options);
  narrow_weights(*model, at::kBFloat16);
  EXPECT_TRUE(at::equal(testing::run(model, in, options), expected));
  std::int64_t narrow = 0, all = 0;
  for (const at::Tensor& p : model->parameters()) {
    all += p.numel();
    if (p.scalar_type() == at::kBFloat16) narrow += p.numel();
  }
  EXPECT_GT(narrow, all / 2);
}

}  // namespace
}  // namespace rehyat::models
