#include "diffusion/flow_matching.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/expect_error.h"
#include "tensor/random.h"

namespace rehyat::diffusion {
namespace {

TEST(FlowMatching, NoisedLiesBetweenDataAndNoiseAndMovesWithTheVelocity) {
  Rng rng(1, "test.flow");
  const at::Tensor x0 = randn(rng, {2, 3, 4}), noise = randn(rng, {2, 3, 4});
  EXPECT_TRUE(at::equal(noised(x0, noise, 0), x0));
  EXPECT_TRUE(at::equal(noised(x0, noise, 1), noise));
  const at::Tensor slope = (noised(x0, noise, 0.75) - noised(x0, noise, 0.25)) / 0.5;
  EXPECT_TRUE(at::allclose(slope, velocity(x0, noise), 1e-5, 1e-5));
  // The data estimate from any point on the way: x - sigma v.
  EXPECT_TRUE(at::allclose(noised(x0, noise, 0.4) - 0.4 * velocity(x0, noise), x0, 1e-5, 1e-5));
}

TEST(FlowMatching, ShiftKeepsTheEndsAndRaisesWhatIsBetween) {
  EXPECT_EQ(shift_sigma(0, 8), 0);
  EXPECT_EQ(shift_sigma(1, 8), 1);
  EXPECT_DOUBLE_EQ(shift_sigma(0.5, 8), 4 / 4.5);
  EXPECT_DOUBLE_EQ(shift_sigma(0.3, 1), 0.3);
  EXPECT_DOUBLE_EQ(shift_sigma(shift_sigma(0.3, 8), 1.0 / 8), 0.3);
}

TEST(FlowMatching, GuidanceExtrapolatesInFloat32) {
  Rng rng(2, "test.flow");
  const at::Tensor cond = randn(rng, {5}), uncond = randn(rng, {5});
  EXPECT_TRUE(at::allclose(guided(cond, uncond, 1), cond, 1e-6, 1e-6));
  EXPECT_TRUE(at::equal(guided(cond, uncond, 0), uncond));
  EXPECT_TRUE(at::allclose(guided(cond, uncond, 6), 6 * cond - 5 * uncond, 1e-5, 1e-5));
  const at::Tensor half = guided(cond.to(at::kBFloat16), uncond.to(at::kBFloat16), 6);
  EXPECT_EQ(half.scalar_type(), at::kFloat);
  EXPECT_TRUE(
      at::equal(half, guided(cond.to(at::kBFloat16).to(at::kFloat), uncond.to(at::kBFloat16).to(at::kFloat), 6)));
}

std::vector<double> draws(const FlowConfig& config, int count) {
  std::vector<double> out;
  for (int i = 0; i < count; ++i) {
    Rng rng(4, "test.sigma", {static_cast<std::uint64_t>(i)});
    out.push_back(draw_sigma(config, rng));
  }
  return out;
}

double quantile(std::vector<double> values, double share) {
  std::sort(values.begin(), values.end());
  return values[static_cast<std::size_t>(share * static_cast<double>(values.size()))];
}

TEST(DrawSigma, LiesStrictlyBetween0And1ForExtremeSettings) {
  for (const NoiseLevels levels : {NoiseLevels::uniform, NoiseLevels::logit_normal}) {
    for (const double shift : {0.01, 1.0, 8.0, 1000.0}) {
      for (const double sigma : draws({.shift = shift, .levels = levels, .mean = 0, .spread = 50}, 2000)) {
        ASSERT_GT(sigma, 0);
        ASSERT_LT(sigma, 1);
      }
    }
  }
}

TEST(DrawSigma, QuantilesAreThoseOfItsDistribution) {
  for (const double share : {0.1, 0.25, 0.5, 0.9}) {
    EXPECT_NEAR(quantile(draws({.shift = 8, .levels = NoiseLevels::uniform}, 20'000), share), shift_sigma(share, 8),
                0.02);
  }
  const auto logit = draws({.shift = 1, .levels = NoiseLevels::logit_normal, .mean = 0.5, .spread = 2}, 20'000);
  const auto sigmoid = [](double x) { return 1 / (1 + std::exp(-x)); };
  EXPECT_NEAR(quantile(logit, 0.5), sigmoid(0.5), 0.01);
  EXPECT_NEAR(quantile(logit, 0.8413), sigmoid(2.5), 0.01);
  EXPECT_NEAR(quantile(logit, 0.1587), sigmoid(-1.5), 0.01);
}

TEST(FlowConfig, IsReadStrictly) {
  const auto load = [](const char* text) {
    return config::load<FlowConfig>(config::Document::from_text(text, "run.yaml"));
  };
  EXPECT_EQ(load("levels: uniform\nshift: 3\n").levels, NoiseLevels::uniform);
  testing::expect_error<UsageError>([&] { load("shift: 0\n"); }, {"'shift'", "> 0"});
  testing::expect_error<UserError>([&] { load("levels: uniform\nmean: 0\n"); }, {"mean: found 0", "logit_normal"});
  testing::expect_error<UserError>([&] { load("levels: uniform\nspread: 2\n"); }, {"spread: found 2", "logit_normal"});
  EXPECT_EQ(load("spread: 2\n").spread, 2.0);
  testing::expect_error<UsageError>([&] { load("levels: normal\n"); }, {"uniform, logit_normal"});
}

}  // namespace
}  // namespace rehyat::diffusion
