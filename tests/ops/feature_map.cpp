#include "ops/feature_map.h"

#include <gtest/gtest.h>

#include "core/error.h"
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
  map->to(torch::kDouble);
  const at::Tensor x = randn(rng, {2, 2, 5, 4}).to(torch::kDouble);
  const at::Tensor y = map->forward(x);
  const auto p = map->named_parameters();
  for (int b = 0; b < 2; ++b) {
    for (int a = 0; a < 2; ++a) {
      const at::Tensor h = torch::gelu(at::matmul(x[b][a], p["weight_0"][a]) + p["bias_0"][a]);
      const at::Tensor e = torch::softplus(at::matmul(h, p["weight_1"][a]) + p["bias_1"][a]);
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
      const torch::NoGradGuard no_grad;
      const at::Tensor q = phi_q->forward(randn(rng, {1, 3, 64, 32})), k = phi_k->forward(randn(rng, {1, 3, 64, 32}));
      EXPECT_GE(q.min().item<float>(), 0);
      const double mean = at::matmul(q, k.transpose(-1, -2)).mean().item<double>();
      EXPECT_NEAR(mean / target, 1, 0.5) << static_cast<int>(kind);
    }
  }
}

TEST(FeatureMap, StartProductsOfTheNormalizers) {
  EXPECT_EQ(start_product(Normalizer::joint, 1000), 1);
  EXPECT_NEAR(start_product(Normalizer::lse, 1000), 1e-3, 1e-12);
  EXPECT_LT(start_product(Normalizer::row_max, 1000), 0.1);
}

TEST(FeatureMap, RefusesWrongWidths) {
  FeatureMap map(2, 8, FeatureMapConfig{});
  EXPECT_THROW(map->forward(torch::zeros({1, 2, 3, 7})), UserError);
  EXPECT_THROW(map->forward(torch::zeros({1, 3, 3, 8})), UserError);
}

}  // namespace
}  // namespace rehyat::ops
