#include "ops/feature_map.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "ops/attention_spec.h"
#include "tensor/random.h"

namespace rehyat::ops {
namespace {

std::int64_t parameters(FeatureMap& map) {
  std::int64_t total = 0;
  for (const auto& p : map->parameters()) total += p.numel();
  return total;
}

TEST(FeatureMap, HasThePapersSize) {
  FeatureMap phi_q(12, 128, FeatureMapConfig{}), phi_k(12, 128, FeatureMapConfig{});
  EXPECT_EQ(parameters(phi_q) + parameters(phi_k), 2'371'584);
  EXPECT_EQ(phi_q->feature_width(), 256);
}

TEST(FeatureMap, EqualsItsDefinition) {
  FeatureMapConfig config;
  config.degree = 3;
  FeatureMap map(2, 4, config);
  Rng rng(1, "test.phi");
  map->initialize(rng);
  map->to(at::kDouble);
  const at::Tensor x = randn(rng, {2, 2, 5, 4}).to(at::kDouble);
  const at::Tensor y = map->forward(x);
  const auto p = map->named_parameters();
  for (int b = 0; b < 2; ++b) {
    for (int a = 0; a < 2; ++a) {
      const at::Tensor h = at::gelu(at::matmul(x[b][a], p["weight_0"][a]) + p["bias_0"][a]);
      const at::Tensor e = at::softplus(at::matmul(h, p["weight_1"][a]) + p["bias_1"][a]);
      const at::Tensor expected = at::cat({e.narrow(1, 0, 4), e.narrow(1, 4, 4).square(), e.narrow(1, 8, 4).pow(3)}, 1);
      EXPECT_LE((y[b][a] - expected).abs().max().item<double>(), 1e-13);
    }
  }
}

TEST(FeatureMap, StartsAtTheWantedProduct) {
  for (const FeatureMapKind kind : {FeatureMapKind::poly_mlp, FeatureMapKind::hedgehog, FeatureMapKind::elu}) {
    for (const double target : {1.0, 0.01}) {
      FeatureMapConfig config;
      config.kind = kind;
      FeatureMap phi_q(3, 32, config), phi_k(3, 32, config);
      Rng rng_q(1, "q"), rng_k(1, "k"), rng(2, "x");
      phi_q->initialize(rng_q, target);
      phi_k->initialize(rng_k, target);
      const at::NoGradGuard no_grad;
      const at::Tensor q = phi_q->forward(randn(rng, {1, 3, 64, 32})), k = phi_k->forward(randn(rng, {1, 3, 64, 32}));
      EXPECT_GE(q.min().item<float>(), 0);
      const double mean = at::matmul(q, k.transpose(-1, -2)).mean().item<double>();
      EXPECT_NEAR(mean / target, 1, 0.5) << static_cast<int>(kind);
    }
  }
}

/// Whatever makes the features non-negative, the linear branch starts at the normalizer's level, at Wan's head width.
TEST(FeatureMap, EverySettingStartsAtEveryNormalizersProduct) {
  const at::NoGradGuard no_grad;
  for (const auto activation : {Activation::gelu, Activation::silu, Activation::relu}) {
    for (const auto nonnegative : {NonNegative::softplus, NonNegative::relu, NonNegative::exp, NonNegative::none}) {
      for (const auto normalizer : {Normalizer::joint, Normalizer::row_max, Normalizer::lse}) {
        for (const std::int64_t layers : {1, 2, 3}) {
          const double target = start_product(normalizer, 6240);
          FeatureMapConfig config;
          config.activation = activation;
          config.nonnegative = nonnegative;
          config.layers = layers;
          FeatureMap phi_q(2, 128, config), phi_k(2, 128, config);
          Rng rng_q(1, "q"), rng_k(1, "k"), rng(2, "x");
          phi_q->initialize(rng_q, target);
          phi_k->initialize(rng_k, target);
          const at::Tensor q = phi_q->forward(randn(rng, {1, 2, 128, 128})),
                           k = phi_k->forward(randn(rng, {1, 2, 128, 128}));
          const double mean = at::matmul(q, k.transpose(-1, -2)).mean().item<double>();
          EXPECT_NEAR(mean / target, 1, 0.25)
              << "activation " << static_cast<int>(activation) << " nonnegative " << static_cast<int>(nonnegative)
              << " normalizer " << to_string(normalizer) << " layers " << layers;
        }
      }
    }
  }
}

TEST(FeatureMap, AStartThatCannotBeReachedIsRefused) {
  FeatureMapConfig config;
  config.nonnegative = NonNegative::exp;
  FeatureMap map(1, 4, config);
  Rng rng(1, "q");
  EXPECT_THROW(map->initialize(rng, 1e-60), UserError);
}

TEST(FeatureMap, EluHasALevelAndNothingToTrain) {
  FeatureMapConfig config;
  config.kind = FeatureMapKind::elu;
  FeatureMap map(2, 4, config);
  EXPECT_FALSE(config.trainable());
  EXPECT_EQ(parameters(map), 0);
  ASSERT_EQ(map->named_buffers().size(), 1U);
  EXPECT_EQ(map->named_buffers()[0].key(), "level");
  for (const auto kind : {FeatureMapKind::poly_mlp, FeatureMapKind::hedgehog}) {
    config.kind = kind;
    FeatureMap other(2, 4, config);
    EXPECT_EQ(config.trainable(), parameters(other) > 0);
  }
}

TEST(FeatureMap, KeysWithoutEffectAreRefused) {
  const auto read = [](const std::string& text) {
    return config::load<FeatureMapConfig>(config::Document::from_text(text, "phi.yaml"));
  };
  for (const std::string key : {"layers: 2", "degree: 2", "hidden: 8", "activation: gelu", "nonnegative: relu"}) {
    for (const std::string kind : {"hedgehog", "elu"})
      testing::expect_error<UsageError>([&] { read("kind: " + kind + "\n" + key + "\n"); },
                                        {"phi.yaml:2:1", key.substr(0, key.find(':')), "without effect", "poly_mlp"});
    EXPECT_NO_THROW(read(key + "\n"));
  }
  for (const std::string key : {"hidden: 8", "activation: gelu"})
    testing::expect_error<UsageError>([&] { read("layers: 1\n" + key + "\n"); }, {"phi.yaml:2:1", "2 layers or more"});
  EXPECT_NO_THROW(read("kind: elu\nrope_first: false\n"));
}

TEST(AttentionSpec, KeysWithoutEffectAreRefused) {
  const auto read = [](const std::string& text) {
    return config::load<AttentionSpec>(config::Document::from_text(text, "run.yaml"));
  };
  for (const std::string text :
       {"{kind: linear, tc: 5}", "{kind: softmax, to: 1}", "{kind: uniform_hybrid, causal: true}",
        "{kind: rehyat, rate: 2}", "{kind: linear, normalizer: lse}", "{tc: 5, kind: linear}"})
    testing::expect_error<UsageError>([&] { read(text); }, {"run.yaml:1:", "without effect", "expected it only with"});
  EXPECT_EQ(read("{kind: uniform_hybrid, rate: 4, normalizer: lse}").rate, 4);
  for (const AttentionKind* const kind :
       {AttentionKind::softmax, AttentionKind::rehyat, AttentionKind::uniform_hybrid, AttentionKind::linear}) {
    const AttentionSpec spec{.kind = kind};  // the resolved config holds no such key, and so can be read again
    EXPECT_EQ(config::from_json<AttentionSpec>(config::to_json(spec), "resolved"), spec);
  }
}

TEST(FeatureMap, StartProductsOfTheNormalizers) {
  EXPECT_EQ(start_product(Normalizer::joint, 1000), 1);
  EXPECT_NEAR(start_product(Normalizer::lse, 1000), 1e-3, 1e-12);
  EXPECT_LT(start_product(Normalizer::row_max, 1000), 0.1);
}

TEST(FeatureMap, RefusesWrongWidths) {
  FeatureMap map(2, 8, FeatureMapConfig{});
  EXPECT_THROW(map->forward(at::zeros({1, 2, 3, 7})), UserError);
  EXPECT_THROW(map->forward(at::zeros({1, 3, 3, 8})), UserError);
}

}  // namespace
}  // namespace rehyat::ops
