#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "ops/attention_case.h"
#include "ops/feature_map.h"
#include "ops/gradient_join.h"

namespace rehyat::ops {
namespace {

class GpuJoin : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
  }
};

/// Gradients of q, k, v of an attention with its feature maps; `join`: those of q and k are added up in one kernel.
std::vector<at::Tensor> join_gradients(const AttentionSpec& spec, bool join, bool frozen_maps) {
  constexpr std::int64_t slices = 7, tokens = 31, heads = 3, width = 128;
  Rng rng(71, "test.join");
  const auto draw = [&] {
    return randn(rng, {2, slices * tokens, heads, width}).to(at::kCUDA).to(at::kBFloat16).transpose(1, 2);
  };
  const at::Tensor q = draw().requires_grad_(), k = draw().requires_grad_(), v = draw().requires_grad_(), dy = draw();
  std::vector<FeatureMap> maps;
  for (int i = 0; i < 2; ++i) {
    maps.emplace_back(FeatureMap(heads, width, FeatureMapConfig{}));
    maps.back()->initialize(rng);
    maps.back()->to(at::kCUDA);
  }
  const JoinedInput queries = join ? joined_input(q) : JoinedInput{q, nullptr};
  const JoinedInput keys = join ? joined_input(k) : JoinedInput{k, nullptr};
  EXPECT_EQ(queries.pieces != nullptr, join);
  at::Tensor phi_q = maps[0]->forward(queries.x), phi_k = maps[1]->forward(keys.x);
  if (frozen_maps) {
    phi_q = phi_q.detach();
    phi_k = phi_k.detach();
  }
  hybrid_attention(queries.x, keys.x, v, phi_q, phi_k, slices, spec, {}, FeatureSign::never_negative, nullptr,
                   {queries.pieces, keys.pieces})
      .backward(dy);
  return {q.grad(), k.grad(), v.grad()};
}

TEST_F(GpuJoin, GradientsAreThoseAddedUpApart) {
  std::vector<AttentionSpec> specs;
  for (const Normalizer normalizer : {Normalizer::joint, Normalizer::row_max, Normalizer::lse})
    specs.push_back({AttentionKind::rehyat, 3, 1, true, 2, normalizer});
  specs.push_back({AttentionKind::rehyat, 1, 0, false, 2, Normalizer::joint});
  specs.push_back({AttentionKind::uniform_hybrid, 3, 1, true, 7, Normalizer::joint});
  for (const AttentionSpec& spec : specs) {
    for (const bool frozen : {false, true}) {
      const auto joined = join_gradients(spec, true, frozen), apart = join_gradients(spec, false, frozen);
      for (std::size_t i = 0; i < apart.size(); ++i) {
        const double size = apart[i].to(at::kDouble).norm().item<double>();
        // Both round to bfloat16, apart more often.
        EXPECT_LE((joined[i] - apart[i]).to(at::kDouble).norm().item<double>(), 5e-3 * size)
            << to_string(spec) << ' ' << i << (frozen ? " frozen maps" : "");
        EXPECT_EQ(joined[i].strides(), apart[i].strides()) << i;
      }
    }
  }
}

TEST_F(GpuJoin, WhatNeedsNoGradientIsLeftAsItIs) {
  const at::Tensor x = at::zeros({1, 2, 3, 64}, at::TensorOptions().device(at::kCUDA).dtype(at::kBFloat16));
  EXPECT_TRUE(joined_input(x).x.is_same(x));
  const at::Tensor wanted = x.clone().requires_grad_();
  EXPECT_EQ(joined_input(wanted.to(at::kFloat)).pieces, nullptr);
  const at::NoGradGuard no_grad;
  EXPECT_TRUE(joined_input(wanted).x.is_same(wanted));
}

}  // namespace
}  // namespace rehyat::ops
