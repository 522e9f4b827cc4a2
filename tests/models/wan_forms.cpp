#include <gtest/gtest.h>

#include <map>

#include "core/expect_error.h"
#include "models/attention/tap.h"
#include "models/small_wan.h"

namespace rehyat::models {
namespace {

using testing::convert_all;
using testing::every_attention;
using testing::expect_error;
using testing::relative_difference;
using testing::run;
using testing::small_wan;
using testing::wan_inputs;

WanTransformer double_model(const BlockAttention& attention) {
  WanTransformer model = small_wan(2);
  convert_all(model, attention);
  model->to(at::kDouble);
  return model;
}

TEST(WanForward, IsDeterministicAndOfTheLatentsShape) {
  WanTransformer model = small_wan(), again = small_wan();
  const auto in = wan_inputs();
  const at::Tensor out = run(model, in);
  EXPECT_EQ(out.sizes(), in.latents.sizes());
  EXPECT_EQ(out.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::isfinite(out).all().item<bool>());
  EXPECT_TRUE(at::equal(out, run(model, in)));
  EXPECT_TRUE(at::equal(out, run(again, in)));
}

TEST(WanForward, EveryInputCounts) {
  WanTransformer model = small_wan();
  const auto in = wan_inputs();
  const at::Tensor out = run(model, in);
  auto other = in;
  other.text = in.text.clone();
  other.text[0][4] += 1;
  EXPECT_GT(relative_difference(run(model, other)[0], out[0]), 1e-4);
  EXPECT_LT(relative_difference(run(model, other)[1], out[1]), 1e-5);  // the samples of a batch do not mix
  other = in;
  other.timestep = in.timestep + at::tensor({-1.0, 0.0}, at::kFloat);
  EXPECT_GT(relative_difference(run(model, other)[0], out[0]), 1e-5);
  other = in;
  other.latents = in.latents.clone();
  other.latents[0].select(1, 6).add_(1);
  // The teacher is bidirectional: the last slice reaches the first.
  EXPECT_GT(relative_difference(run(model, other)[0].select(1, 0), out[0].select(1, 0)), 1e-5);
}

TEST(WanForward, CausalAttentionDoesNotSeeLaterChunks) {
  WanTransformer model = double_model(every_attention()[1]);
  auto in = wan_inputs(at::kDouble);
  const at::Tensor out = run(model, in);
  in.latents = in.latents.clone();
  in.latents.select(2, 6).add_(1);
  const at::Tensor other = run(model, in);
  EXPECT_EQ(relative_difference(other.narrow(2, 0, 6), out.narrow(2, 0, 6)), 0);
  EXPECT_GT(relative_difference(other.narrow(2, 6, 1), out.narrow(2, 6, 1)), 1e-3);
}

TEST(WanForward, ParallelEqualsReferenceForEveryKind) {
  const auto in = wan_inputs(at::kDouble);
  for (const BlockAttention& attention : every_attention()) {
    WanTransformer model = double_model(attention);
    const at::Tensor fast = run(model, in);
    EXPECT_EQ(fast.scalar_type(), at::kDouble);
    const at::Tensor slow = run(model, in, {.form = AttentionForm::reference});
    EXPECT_LE(relative_difference(fast, slow), 1e-12) << ops::to_string(attention.spec);
  }
}

std::map<std::string, at::Tensor> gradients(WanTransformer& model, const testing::WanInputs& in,
                                            const ForwardOptions& options) {
  Rng rng(6, "test.wan.gradient");
  model->zero_grad();
  const at::Tensor out = model->forward(in.latents, in.timestep, in.text, options);
  (out * randn(rng, out.sizes()).to(out.scalar_type())).sum().backward();
  std::map<std::string, at::Tensor> result;
  for (const auto& item : model->named_parameters()) result[item.key()] = item.value().grad();
  return result;
}

TEST(WanForward, GradientsOfAllWeightsEqualTheReference) {
  const auto in = wan_inputs(at::kDouble);
  for (const BlockAttention& attention : every_attention()) {
    WanTransformer model = double_model(attention);
    const auto fast = gradients(model, in, {}), slow = gradients(model, in, {.form = AttentionForm::reference});
    for (const auto& [name, gradient] : slow) {
      ASSERT_TRUE(gradient.defined() && fast.at(name).defined()) << name;
      // The key's bias cancels in the softmax, so its gradient can be rounding alone.
      const double size = std::max(gradient.abs().max().item<double>(), 1e-3);
      EXPECT_LE((fast.at(name) - gradient).abs().max().item<double>() / size, 1e-9)
          << name << " " << ops::to_string(attention.spec);
    }
  }
}

TEST(WanForward, GradientsReachTheFloatMasters) {
  WanTransformer model = small_wan(2);
  convert_all(model, every_attention()[1]);
  const auto in = wan_inputs();
  const auto half = gradients(model, in, {.compute = at::kBFloat16}), full = gradients(model, in, {});
  for (const auto& [name, gradient] : half) {
    ASSERT_TRUE(gradient.defined()) << name;
    EXPECT_EQ(gradient.scalar_type(), at::kFloat) << name;
    EXPECT_TRUE(at::isfinite(gradient).all().item<bool>()) << name;
  }
  const std::string one = "blocks.1.ffn.net.2.weight";
  EXPECT_LT((half.at(one) - full.at(one)).norm().item<double>() / full.at(one).norm().item<double>(), 0.1);
}

TEST(WanForward, RecurrentEqualsParallelForCausalRehyat) {
  const auto in = wan_inputs(at::kDouble);
  int tried = 0;
  for (const BlockAttention& attention : every_attention()) {
    if (!attention.spec.recurrent()) continue;
    WanTransformer model = double_model(attention);
    const at::Tensor recurrent = run(model, in, {.form = AttentionForm::recurrent});
    EXPECT_LE(relative_difference(recurrent, run(model, in)), 1e-12) << ops::to_string(attention.spec);
    ++tried;
  }
  EXPECT_EQ(tried, 4);
}

TEST(WanForward, OnlySoftmaxBlocksDoWithoutARecurrentForm) {
  const auto in = wan_inputs();
  for (const BlockAttention& attention : every_attention()) {
    WanTransformer model = small_wan(2);
    convert_all(model, attention);
    const ForwardOptions recurrent{.form = AttentionForm::recurrent};
    if (attention.spec.kind == ops::AttentionKind::softmax) {
      EXPECT_TRUE(at::equal(run(model, in, recurrent), run(model, in)));
    } else if (!attention.spec.recurrent()) {
      expect_error<UserError>([&] { run(model, in, recurrent); },
                              {"form recurrent", ops::to_string(attention.spec), "use the form parallel"});
    }
  }
}

TEST(WanForward, ChunkByChunkEqualsTheWholeVideo) {
  const auto in = wan_inputs(at::kDouble);
  for (const BlockAttention& attention : every_attention()) {
    if (!attention.spec.recurrent()) continue;
    WanTransformer model = double_model(attention);
    ASSERT_TRUE(model->fully_recurrent());
    auto states = model->make_states(testing::kLatent[1], testing::kLatent[2]);
    std::vector<at::Tensor> chunks;
    for (const auto& chunk : ops::chunks_of(testing::kLatent[0], attention.spec.tc, attention.spec.to)) {
      auto part = in;
      part.latents = in.latents.narrow(2, chunk.queries.begin, chunk.queries.size());
      ForwardOptions options{.first_slice = chunk.queries.begin, .states = &states};
      // A look that does not update must leave no trace.
      options.update_states = false;
      const at::Tensor look = run(model, part, options);
      options.update_states = true;
      chunks.push_back(run(model, part, options));
      EXPECT_TRUE(at::equal(look, chunks.back()));
    }
    EXPECT_LE(relative_difference(at::cat(chunks, 2), run(model, in)), 1e-12) << ops::to_string(attention.spec);
  }
}

TEST(WanForward, WhatDependsOnTheTextAloneIsMadeOnce) {
  WanTransformer model = small_wan(2);
  const auto in = wan_inputs();
  const at::Tensor plain = run(model, in);
  TextMemory memory;
  const ForwardOptions remembered{.text = &memory};
  EXPECT_TRUE(at::equal(run(model, in, remembered), plain));
  constexpr std::int64_t numbers = 2 * 5 * 24;  // samples, words, width
  EXPECT_EQ(memory.bytes(), numbers * (1 + 2 * 2) * 4);
  EXPECT_EQ(memory.bytes(), 2 * 5 * model->architecture().text_numbers * 4);
  const at::NoGradGuard no_grad;
  for (auto& item : model->named_parameters()) {  // the second pass asks none of them
    const std::string& name = item.key();
    for (const char* part : {"text_embedder", "attn2.to_k", "attn2.to_v", "attn2.norm_k"}) {
      if (name.find(part) != std::string::npos) item.value().mul_(2);
    }
  }
  EXPECT_TRUE(at::equal(run(model, in, remembered), plain));
  EXPECT_FALSE(at::equal(run(model, in), plain));
  // Of another text, or in another type, nothing is taken over.
  auto other = in;
  other.text = in.text + 1;
  EXPECT_TRUE(at::equal(run(model, other, remembered), run(model, other)));
  ForwardOptions half = remembered;
  half.compute = at::kBFloat16;
  EXPECT_TRUE(at::equal(run(model, other, half), run(model, other, {.compute = at::kBFloat16})));
  EXPECT_EQ(memory.bytes(), numbers * (1 + 2 * 2) * 2);
}

TEST(WanForward, APassWithGradientsLeavesTheTextAlone) {
  WanTransformer model = small_wan(2);
  const auto in = wan_inputs();
  TextMemory memory;
  run(model, in, {.text = &memory});
  const std::int64_t bytes = memory.bytes();
  TextMemory empty;
  for (TextMemory* text : {&memory, &empty}) {
    const auto with = gradients(model, in, {.text = text}), without = gradients(model, in, {});
    for (const auto& [name, gradient] : without) EXPECT_TRUE(at::equal(with.at(name), gradient)) << name;
  }
  EXPECT_EQ(memory.bytes(), bytes);
  EXPECT_EQ(empty.bytes(), 0);
}

TEST(WanForward, HalfPrecisionStaysNear) {
  WanTransformer model = small_wan();
  convert_all(model, every_attention()[1]);
  const auto in = wan_inputs();
  const at::Tensor half = run(model, in, {.compute = at::kBFloat16});
  EXPECT_LT((half.to(at::kFloat) - run(model, in)).norm().item<double>() / run(model, in).norm().item<double>(), 0.05);
}

TEST(WanForward, TheTapSeesEveryBlockWhileItLives) {
  WanTransformer model = small_wan();
  const auto in = wan_inputs();
  std::vector<std::int64_t> blocks;
  const auto look = [&](std::int64_t block, const at::Tensor& input, const at::Tensor& output) {
    blocks.push_back(block);
    const auto rope = model->rope(testing::kLatent);
    auto attention = model->attention(block);
    const at::Tensor again =
        attention->attend(attention->heads(input, rope), testing::kLatent[0], AttentionForm::parallel);
    EXPECT_TRUE(at::equal(again, output)) << "block " << block;
  };
  const at::Tensor untapped = run(model, in);
  {
    const TapScope tap(model, {0, 1, 2}, look);
    EXPECT_TRUE(at::equal(run(model, in), untapped));
    EXPECT_EQ(blocks, (std::vector<std::int64_t>{0, 1, 2}));
    {
      const TapScope inner(model, {1}, [](std::int64_t, const at::Tensor&, const at::Tensor&) {});
      run(model, in);
    }
    EXPECT_EQ(blocks, (std::vector<std::int64_t>{0, 1, 2, 0, 2}));
    run(model, in);
  }
  run(model, in);
  EXPECT_EQ(blocks, (std::vector<std::int64_t>{0, 1, 2, 0, 2, 0, 1, 2}));
}

TEST(WanConvert, NoBlocksLeavesTheOutputBitEqual) {
  WanTransformer model = small_wan();
  const auto in = wan_inputs();
  const at::Tensor before = run(model, in);
  convert(model, {}, 3, testing::kLatent);
  EXPECT_TRUE(at::equal(run(model, in), before));
  HybridConfig none;
  none.blocks.pattern = BlockPattern::none;
  convert(model, resolve(none, 3), 3, testing::kLatent);
  EXPECT_TRUE(at::equal(run(model, in), before));
  EXPECT_TRUE(block_map_of(model).empty());
}

TEST(WanConvert, FeatureMapsDependOnSeedAndBlockAlone) {
  const BlockAttention attention = every_attention()[1];
  WanTransformer one = small_wan(), many = small_wan(), other = small_wan();
  convert(one, {{2, attention}}, 3, testing::kLatent);
  convert_all(many, attention);
  convert(other, {{2, attention}}, 4, testing::kLatent);
  const auto weight = [](WanTransformer& model, std::int64_t block) {
    return model->attention(block)->phi_q()->parameters().front();
  };
  EXPECT_TRUE(at::equal(weight(one, 2), weight(many, 2)));
  EXPECT_FALSE(at::equal(weight(many, 2), weight(many, 1)));
  EXPECT_FALSE(at::equal(weight(one, 2), weight(other, 2)));
}

/// What is read from a file is not drawn before.
TEST(WanConvert, InstallingDrawsNothing) {
  SelfAttention attention = small_wan()->attention(1), converted = small_wan()->attention(1);
  attention->install(every_attention()[1]);
  converted->convert(every_attention()[1], 3, 1, 16);
  const NamedTensors maps = tensors_of(*attention, Weights::feature_maps);
  ASSERT_EQ(maps.size(), 8U);
  for (const auto& [name, tensor] : maps) EXPECT_EQ(tensor.abs().max().item<float>(), 0) << name;
  attention->initialize(3, 1, 16);
  const NamedTensors drawn = tensors_of(*converted, Weights::feature_maps);
  for (std::size_t i = 0; i < maps.size(); ++i) EXPECT_TRUE(at::equal(maps[i].second, drawn[i].second));
}

TEST(WanConvert, AStudentIsACopyOfOneAttention) {
  WanTransformer teacher = small_wan();
  convert(teacher, {{1, every_attention()[2]}}, 3, testing::kLatent);
  const auto in = wan_inputs();
  const at::Tensor before = run(teacher, in);
  SelfAttention student = softmax_copy(teacher->attention(1));
  EXPECT_FALSE(student->attention().spec.converted());
  ASSERT_EQ(student->parameters().size(), 10U);
  const auto own = teacher->attention(1)->named_parameters();
  for (const auto& item : student->named_parameters()) {
    EXPECT_TRUE(at::equal(item.value(), own[item.key()])) << item.key();
    item.value().requires_grad_(false);
  }
  student->convert(every_attention()[1], 4, 1, 16);
  for (const auto& parameter : teacher->parameters()) EXPECT_TRUE(parameter.requires_grad());
  EXPECT_TRUE(at::equal(run(teacher, in), before));
}

TEST(WanConvert, BackToSoftmaxIsTheTeacher) {
  WanTransformer model = small_wan();
  const auto in = wan_inputs();
  const at::Tensor before = run(model, in);
  convert_all(model, every_attention()[1]);
  EXPECT_GT(relative_difference(run(model, in), before), 1e-4);
  convert_all(model, every_attention()[0]);
  EXPECT_TRUE(at::equal(run(model, in), before));
  EXPECT_TRUE(model->tensors(Weights::feature_maps).empty());
}

}  // namespace
}  // namespace rehyat::models
