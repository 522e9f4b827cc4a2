#include "sampling/generate.h"

#include <gtest/gtest.h>

#include <utility>

#include "core/expect_error.h"
#include "models/attention/tap.h"
#include "models/small_wan.h"

namespace rehyat::sampling {
namespace {

using diffusion::SamplerKind;
using models::AttentionForm;
using testing::every_attention;
using testing::expect_error;
using testing::relative_difference;
using testing::small_wan;

models::WanTransformer recurrent_model(std::size_t which = 1) {
  models::WanTransformer model = small_wan(2);
  testing::convert_all(model, every_attention()[which]);
  return model;
}

Request request(SamplerKind kind = SamplerKind::unipc, Order order = Order::step_major) {
  Request out;
  out.sampler = {.kind = kind, .steps = 6, .shift = 3};
  out.guidance = 3;
  out.shape = {4, testing::kLatent[0], testing::kLatent[1], testing::kLatent[2]};
  out.seed = 5;
  out.form = AttentionForm::recurrent;
  out.order = order;
  return out;
}

at::Tensor text(std::uint64_t seed) {
  Rng rng(seed, "test.sampling.text");
  return randn(rng, {5, 20});
}

at::Tensor sample(models::WanTransformer& model, const Request& asked) {
  return generate(model, asked, text(1), text(2));
}

TEST(Generate, ChunkMajorEqualsStepMajor) {
  for (const std::size_t which : {1, 2, 3, 4}) {
    models::WanTransformer model = recurrent_model(which);
    for (const SamplerKind kind : {SamplerKind::unipc, SamplerKind::euler}) {
      const at::Tensor steps = sample(model, request(kind)), chunks = sample(model, request(kind, Order::chunk_major));
      ASSERT_EQ(steps.sizes(), (at::IntArrayRef{4, 7, 4, 6}));
      EXPECT_LT(relative_difference(chunks, steps), 1e-4)
          << ops::to_string(model->attention(0)->attention().spec) << " " << static_cast<int>(kind);
      Request parallel = request(kind);
      parallel.form = AttentionForm::parallel;
      EXPECT_LT(relative_difference(sample(model, parallel), steps), 1e-4);
    }
  }
}

TEST(Generate, HalfPrecisionKeepsFloatLatents) {
  models::WanTransformer model = recurrent_model();
  const at::Tensor exact = sample(model, request(SamplerKind::unipc, Order::chunk_major));
  Request asked = request(SamplerKind::unipc, Order::chunk_major);
  asked.compute = at::kBFloat16;
  const at::Tensor half = sample(model, asked);
  EXPECT_EQ(half.scalar_type(), at::kFloat);
  EXPECT_LT((half - exact).norm().item<double>() / exact.norm().item<double>(), 0.05);
}

TEST(Generate, SameSeedSameVideo) {
  models::WanTransformer model = recurrent_model();
  for (const SamplerKind kind : {SamplerKind::unipc, SamplerKind::euler, SamplerKind::euler_ancestral}) {
    Request asked = request(kind);
    const at::Tensor first = sample(model, asked);
    EXPECT_TRUE(at::isfinite(first).all().item<bool>());
    EXPECT_FALSE(first.requires_grad());
    EXPECT_TRUE(at::equal(sample(model, asked), first));
    asked.sample = 1;
    EXPECT_GT(relative_difference(sample(model, asked), first), 0.1);
    asked.sample = 0;
    asked.seed = 6;
    EXPECT_GT(relative_difference(sample(model, asked), first), 0.1);
  }
}

TEST(Generate, GuidanceCountsAndOneNeedsNoSecondBranch) {
  models::WanTransformer model = recurrent_model();
  Request asked = request();
  const at::Tensor guided = sample(model, asked);
  int conditional = 0, unconditional = 0;
  asked.on_evaluation = [&](const Evaluation& now) {
    EXPECT_EQ(now.step, (now.conditional ? conditional : unconditional) % 6);
    ++(now.conditional ? conditional : unconditional);
  };
  sample(model, asked);
  EXPECT_EQ(conditional, 6);
  EXPECT_EQ(unconditional, 6);
  asked.guidance = 1;
  const at::Tensor plain = generate(model, asked, text(1), {});
  EXPECT_EQ(conditional, 12);
  EXPECT_EQ(unconditional, 6);
  EXPECT_GT(relative_difference(plain, guided), 1e-4);
  // Both branches alike: the guidance cancels.
  asked.guidance = 3;
  EXPECT_LT(relative_difference(generate(model, asked, text(1), text(1)), plain), 1e-4);
}

TEST(Generate, BranchesTogetherAreTheSameWithinRounding) {
  for (const std::size_t which : {1, 2}) {  // the second has a ring of keys before RoPE too
    models::WanTransformer model = recurrent_model(which);
    for (const Order order : {Order::step_major, Order::chunk_major}) {
      Request asked = request(SamplerKind::unipc, order);
      asked.branches = Branches::apart;
      std::vector<bool> branches;
      asked.on_evaluation = [&](const Evaluation& now) { branches.push_back(now.conditional); };
      const at::Tensor apart = sample(model, asked);
      const std::vector<bool> expected = std::exchange(branches, {});
      std::int64_t passes = 0;
      const models::TapScope count(model, {0}, [&](std::int64_t, const at::Tensor& input, const at::Tensor&) {
        ++passes;
        EXPECT_EQ(input.size(0), 2);
      });
      asked.branches = Branches::together;
      EXPECT_LT(relative_difference(sample(model, asked), apart), 1e-4);
      EXPECT_EQ(branches, expected);
      EXPECT_EQ(2 * passes, static_cast<std::int64_t>(expected.size()));
    }
  }
}

TEST(Generate, TextsOfDifferentLengthsRunApart) {
  models::WanTransformer model = recurrent_model();
  Request asked = request(SamplerKind::euler, Order::chunk_major);
  const at::Tensor shorter = text(2).narrow(0, 0, 3), apart = generate(model, asked, text(1), shorter);
  asked.branches = Branches::together;
  EXPECT_TRUE(at::equal(generate(model, asked, text(1), shorter), apart));
}

TEST(Generate, EvaluateUntilRefusesAnEvaluationThatThereIsNot) {
  models::WanTransformer model = recurrent_model();
  Request asked = request();
  expect_error<UserError>(
      [&] {
        evaluate_until({6, true}, model, asked, text(1), text(2));
      },
      {"[sample] last evaluation", "found step 6", "6 steps"});
  asked.guidance = 1;
  expect_error<UserError>(
      [&] {
        evaluate_until({0, false}, model, asked, text(1), {});
      },
      {"found step 0 without the text", "with the text"});
}

TEST(Generate, WhatDependsOnTheTextAloneIsMadeOnceAPrompt) {
  for (const Order order : {Order::step_major, Order::chunk_major}) {
    models::WanTransformer model = recurrent_model();
    Request asked = request(SamplerKind::euler, order);
    const at::Tensor plain = sample(model, asked);
    int evaluations = 0;
    asked.on_evaluation = [&](const Evaluation&) {
      if (++evaluations != 3) return;  // both branches have had their first
      const at::NoGradGuard no_grad;
      for (auto& item : model->named_parameters()) {
        for (const char* part : {"text_embedder", "attn2.to_k", "attn2.to_v"}) {
          if (item.key().find(part) != std::string::npos) item.value().zero_();
        }
      }
    };
    EXPECT_TRUE(at::equal(sample(model, asked), plain));
    EXPECT_GT(relative_difference(sample(model, request(SamplerKind::euler, order)), plain), 1e-3);
  }
}

TEST(Generate, StepsAreCountedAndReported) {
  models::WanTransformer model = recurrent_model();
  for (const Order order : {Order::step_major, Order::chunk_major}) {
    Request asked = request(SamplerKind::euler, order);
    std::int64_t reported = 0;
    asked.on_step = [&] { ++reported; };
    sample(model, asked);
    EXPECT_EQ(reported, step_count(model, asked));
    EXPECT_EQ(reported, order == Order::step_major ? 6 : 18);
  }
}

TEST(BestOrder, SaysWhyNotChunkMajor) {
  models::WanTransformer model = recurrent_model();
  std::string reason = "left over";
  Request asked = request();
  EXPECT_EQ(best_order(model, asked, reason), Order::chunk_major);
  EXPECT_EQ(reason, "");
  asked.form = AttentionForm::parallel;
  EXPECT_EQ(best_order(model, asked, reason), Order::step_major);
  EXPECT_NE(reason.find("not recurrent"), std::string::npos);
  asked = request(SamplerKind::euler_ancestral);
  EXPECT_EQ(best_order(model, asked, reason), Order::step_major);
  EXPECT_NE(reason.find("fresh noise"), std::string::npos);
  model->attention(1)->convert(every_attention()[0], 1, 1, 1);
  EXPECT_EQ(best_order(model, request(), reason), Order::step_major);
  EXPECT_NE(reason.find("not every block is converted"), std::string::npos);
}

TEST(BestOrder, IsTheSameOfBlocksWithoutAModel) {
  const ops::AttentionSpec softmax = every_attention()[0].spec, one = every_attention()[1].spec,
                           other = every_attention()[2].spec, whole = every_attention()[5].spec;
  const diffusion::SamplerConfig sampler = request().sampler, ancestral = request(SamplerKind::euler_ancestral).sampler;
  EXPECT_EQ(why_not_chunk_major({one, one}, sampler), "");
  EXPECT_NE(why_not_chunk_major({one, one}, ancestral).find("fresh noise"), std::string::npos);
  EXPECT_NE(why_not_chunk_major({one, other}, sampler).find("chunk size"), std::string::npos);
  for (const ops::AttentionSpec& spec : {softmax, whole})
    EXPECT_NE(why_not_chunk_major({one, spec}, sampler).find("not every block"), std::string::npos);
  const ops::ChunkByChunk way = ops::chunk_by_chunk({one, other, whole});
  EXPECT_FALSE(way.possible());
  EXPECT_EQ(way.other_size, 1U);
  EXPECT_EQ(way.unable, 2U);
  EXPECT_EQ(ops::chunk_by_chunk({one, one}).chunk, one.tc);
  EXPECT_FALSE(ops::chunk_by_chunk({}).possible());
}

TEST(BestOrder, BlocksOfDifferentChunksGoStepByStep) {
  models::WanTransformer model = recurrent_model(1);
  model->attention(1)->convert(every_attention()[2], 1, 1, 1);
  std::string reason;
  EXPECT_EQ(best_order(model, request(), reason), Order::step_major);
  EXPECT_NE(reason.find("chunk size"), std::string::npos);
  EXPECT_TRUE(at::isfinite(sample(model, request())).all().item<bool>());
}

TEST(Generate, RefusesInputsThatDoNotFit) {
  models::WanTransformer model = recurrent_model();
  expect_error<UserError>([&] { generate(model, request(), text(1), {}); },
                          {"[sample] empty_text", "expected one for guidance 3", "guidance 1 needs none"});
  expect_error<UserError>([&] { generate(model, request(), {}, text(2)); }, {"[sample] text"});
  expect_error<UserError>([&] { generate(model, request(), text(1).unsqueeze(0), text(2)); }, {"[sample] text"});
  for (const Order order : {Order::step_major, Order::chunk_major}) {
    Request odd = request(SamplerKind::unipc, order);
    odd.shape[2] = 5;
    expect_error<UserError>([&] { sample(model, odd); }, {"[wan] latents", "found 5 x 6", "divisible by 2"});
    odd.shape = {16, 7, 4, 6};
    expect_error<UserError>([&] { sample(model, odd); }, {"[wan] latents", "expected [B, 4,"});
  }
}

TEST(Generate, RefusesTheRecurrentFormOfBlocksWithoutOne) {
  for (const std::size_t which : {5, 6, 8}) {
    models::WanTransformer model = recurrent_model(1);
    model->attention(1)->convert(every_attention()[which], 1, 1, 1);
    std::string reason;
    const std::string kind = ops::to_string(every_attention()[which].spec);
    expect_error<UserError>([&] { best_order(model, request(), reason); },
                            {"[sample] block 1", kind, "no recurrent form", "sample.form=parallel"});
    Request asked = request();
    int evaluations = 0;
    asked.on_evaluation = [&](const Evaluation&) { ++evaluations; };
    expect_error<UserError>([&] { sample(model, asked); }, {"[sample] block 1", kind});
    EXPECT_EQ(evaluations, 0);
    asked.form = AttentionForm::parallel;
    EXPECT_EQ(best_order(model, asked, reason), Order::step_major);
    EXPECT_TRUE(at::isfinite(sample(model, asked)).all().item<bool>());
  }
}

TEST(Generate, ChunkMajorRefusesWhatItCannotDo) {
  models::WanTransformer model = recurrent_model(1);
  expect_error<UserError>([&] { sample(model, request(SamplerKind::euler_ancestral, Order::chunk_major)); },
                          {"[sample]", "euler_ancestral", "expected unipc or euler"});
  model->attention(1)->convert(every_attention()[2], 1, 1, 1);
  expect_error<UserError>([&] { sample(model, request(SamplerKind::unipc, Order::chunk_major)); },
                          {"[sample] block 1", "found rehyat(tc=2", "expected the chunk size of block 0", "tc=3"});
  model->attention(1)->convert(every_attention()[0], 1, 1, 1);
  expect_error<UserError>([&] { sample(model, request(SamplerKind::unipc, Order::chunk_major)); },
                          {"block 1", "softmax", "expected causal rehyat"});
}

TEST(Purpose, NamesTheNoise) {
  Request one = request(SamplerKind::euler_ancestral), other = one;
  other.purpose = "cache";
  EXPECT_TRUE(at::equal(initial_noise(one), initial_noise(request())));
  EXPECT_FALSE(at::allclose(initial_noise(one), initial_noise(other)));
}

TEST(Precision, HalfProductsStayCloseInEveryForm) {
  models::WanTransformer model = recurrent_model();
  for (const auto& [form, order] :
       {std::pair(AttentionForm::parallel, Order::step_major), std::pair(AttentionForm::recurrent, Order::step_major),
        std::pair(AttentionForm::recurrent, Order::chunk_major)}) {
    Request full = request(SamplerKind::unipc, order), half = full;
    full.form = half.form = form;
    half.compute = at::kBFloat16;
    const at::Tensor a = generate(model, full, text(1), text(2)), b = generate(model, half, text(1), text(2));
    EXPECT_EQ(b.scalar_type(), at::kFloat);
    EXPECT_FALSE(at::equal(a, b));
    EXPECT_LT(relative_difference(b, a), 0.1);
  }
}

}  // namespace
}  // namespace rehyat::sampling
