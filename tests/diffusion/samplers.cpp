#include "diffusion/samplers.h"

#include <gtest/gtest.h>

#include <cmath>
#include <functional>

#include "core/error.h"
#include "core/expect_error.h"
#include "diffusion/flow_matching.h"
#include "tensor/random.h"

namespace rehyat::diffusion {
namespace {

using Velocity = std::function<at::Tensor(const at::Tensor& x, double sigma)>;

at::Tensor walk(const SamplerConfig& config, at::Tensor x, const Velocity& velocity_at) {
  const auto sampler = make_sampler(config);
  Rng noise(6, "test.ancestral");
  for (std::int64_t i = 0; i < sampler->steps(); ++i) x = sampler->step(i, velocity_at(x, sampler->sigma(i)), x, noise);
  return x;
}

/// Data ~ N(0, spread^2): the exact velocity is linear in x, and along the flow x stays in proportion to the standard
/// deviation of x_sigma.
constexpr double kSpread = 0.5;
double deviation(double sigma) {
  return std::hypot((1 - sigma) * kSpread, sigma);
}
at::Tensor gaussian_velocity(const at::Tensor& x, double sigma) {
  const double a = 1 - sigma, variance = a * a * kSpread * kSpread + sigma * sigma;
  return x * ((sigma - a * kSpread * kSpread) / variance);
}

double gaussian_error(SamplerConfig config) {
  const double start = deviation(make_sampler(config)->sigma(0));
  return std::abs(walk(config, at::full({1}, start), gaussian_velocity).item<double>() - kSpread);
}

TEST(Samplers, AreExactWhereTheVelocityIsConstant) {
  Rng rng(1, "test.samplers");
  const at::Tensor x0 = randn(rng, {2, 4}), noise = randn(rng, {2, 4}), v = velocity(x0, noise);
  for (const SamplerKind kind : {SamplerKind::euler, SamplerKind::unipc}) {
    for (const std::int64_t steps : {1, 2, 3, 7, 50}) {
      for (const char* grid : {"diffusers", "original", "flow_match"}) {
        const SamplerConfig config{.kind = kind, .steps = steps, .shift = 8, .grid = grid};
        const double first = make_sampler(config)->sigma(0);
        const at::Tensor end = walk(config, noised(x0, noise, first), [&](const at::Tensor&, double) { return v; });
        EXPECT_TRUE(at::allclose(end, x0, 1e-4, 1e-5)) << grid << ' ' << steps;
      }
    }
  }
}

TEST(Samplers, AllArriveAtTheDataThatTheModelAlwaysPoints) {
  // A model that knows x0: v = (x - x0) / sigma. Every sampler, ancestral too, ends there whatever the noise.
  const at::Tensor x0 = at::arange(6, at::kFloat);
  for (const SamplerKind kind : {SamplerKind::euler, SamplerKind::unipc, SamplerKind::euler_ancestral}) {
    for (const std::int64_t steps : {1, 2, 10}) {
      const at::Tensor end = walk({.kind = kind, .steps = steps}, at::ones({6}),
                                  [&](const at::Tensor& x, double sigma) { return (x - x0) / sigma; });
      EXPECT_TRUE(at::allclose(end, x0, 1e-5, 1e-5)) << steps;
    }
  }
}

TEST(Samplers, EulerIsOfFirstOrderAndUniPCOfSecond) {
  const auto order = [](SamplerKind kind) {
    const double coarse = gaussian_error({.kind = kind, .steps = 64, .shift = 1, .grid = "original"});
    const double fine = gaussian_error({.kind = kind, .steps = 256, .shift = 1, .grid = "original"});
    return std::log2(coarse / fine) / 2;
  };
  EXPECT_NEAR(order(SamplerKind::euler), 1, 0.25);
  EXPECT_NEAR(order(SamplerKind::unipc), 2, 0.25);
  EXPECT_LT(gaussian_error({.kind = SamplerKind::unipc, .steps = 32, .shift = 1}),
            0.3 * gaussian_error({.kind = SamplerKind::euler, .steps = 32, .shift = 1, .grid = "diffusers"}));
}

TEST(Samplers, UniPCTakes200StepsWhoseTimestepsRepeat) {
  EXPECT_LT(gaussian_error({.kind = SamplerKind::unipc, .steps = 200, .shift = 8}), 1e-3);
}

TEST(Samplers, UniPCStartsAnewAtStep0AndRefusesSkippedSteps) {
  const auto sampler = make_sampler({.kind = SamplerKind::unipc, .steps = 5});
  Rng rng(1, "unused");
  const auto run = [&] {
    at::Tensor x = at::ones({3});
    for (std::int64_t i = 0; i < 5; ++i) x = sampler->step(i, gaussian_velocity(x, sampler->sigma(i)), x, rng);
    return x;
  };
  const at::Tensor first = run();
  EXPECT_TRUE(at::equal(run(), first));
  const at::Tensor x = at::ones({3});
  sampler->step(0, x, x, rng);
  testing::expect_error<UserError>([&] { sampler->step(2, x, x, rng); }, {"found step 2", "expected step 1"});
  EXPECT_EQ(rng.position(), 0U);
}

TEST(Samplers, UniPCsSecondStepHasTheFormOfItsPaper) {
  const auto sampler = make_sampler({.kind = SamplerKind::unipc, .steps = 3, .shift = 2});
  const auto lambda = [&](std::int64_t i) { return std::log((1 - sampler->sigma(i)) / sampler->sigma(i)); };
  const double s0 = sampler->sigma(0), s1 = sampler->sigma(1), s2 = sampler->sigma(2);
  const double x = 0.7, v0 = -0.4, v1 = 1.3, m0 = x - s0 * v0;
  const double p = std::expm1(lambda(0) - lambda(1)), q = std::expm1(lambda(1) - lambda(2));
  const double predicted = s1 / s0 * x - (1 - s1) * p * m0, m1 = predicted - s1 * v1;
  const double corrected = predicted - (1 - s1) * p * 0.5 * (m1 - m0);
  const double slope = (m1 - m0) / (lambda(1) - lambda(0)) * (lambda(2) - lambda(1));
  const double expected = s2 / s1 * corrected - (1 - s2) * q * (m1 + 0.5 * slope);
  Rng rng(1, "unused");
  const at::Tensor first = sampler->step(0, at::full({1}, v0), at::full({1}, x), rng);
  EXPECT_NEAR(first.item<double>(), predicted, 1e-6);
  EXPECT_NEAR(sampler->step(1, at::full({1}, v1), first, rng).item<double>(), expected, 1e-5);
}

TEST(Samplers, EulerAncestralHasTheFormOfItsSource) {
  const auto sampler = make_sampler({.kind = SamplerKind::euler_ancestral, .steps = 6, .shift = 8});
  Rng rng(3, "test.ancestral"), same(3, "test.ancestral"), values(4, "test.values");
  at::Tensor x = randn(values, {2, 5});
  for (std::int64_t i = 0; i < 6; ++i) {
    const double s = sampler->sigma(i), n = sampler->sigma(i + 1), d = n * n / s;
    const at::Tensor v = randn(values, {2, 5}), x0 = x - s * v;
    at::Tensor expected = x0;
    if (n > 0) {
      const double root = std::sqrt(n * n - d * d * (1 - n) * (1 - n) / ((1 - d) * (1 - d)));
      expected = (1 - n) / (1 - d) * (d / s * x + (1 - d / s) * x0) + root * randn(same, {2, 5});
    }
    x = sampler->step(i, v, x, rng);
    EXPECT_TRUE(at::allclose(x, expected, 1e-5, 1e-5)) << i;
  }
  EXPECT_EQ(rng.position(), same.position());  // the last step draws nothing
}

TEST(Samplers, EulerAncestralKeepsTheNoiseLevel) {
  // A model that knows x0 leaves x_sigma = (1 - sigma) x0 + sigma noise: the noise must have its full strength.
  const auto sampler = make_sampler({.kind = SamplerKind::euler_ancestral, .steps = 8, .shift = 3});
  Rng rng(3, "test.level");
  at::Tensor x = randn(rng, {200'000});
  for (std::int64_t i = 0; i + 1 < 8; ++i) {
    x = sampler->step(i, (x - 2.0) / sampler->sigma(i), x, rng);
    EXPECT_NEAR(x.mean().item<double>(), 2 * (1 - sampler->sigma(i + 1)), 0.01);
    EXPECT_NEAR(x.std().item<double>(), sampler->sigma(i + 1), 0.01);
  }
}

TEST(Samplers, LatentsAreFloat32WhateverTheModelComputesIn) {
  for (const SamplerKind kind : {SamplerKind::euler, SamplerKind::unipc, SamplerKind::euler_ancestral}) {
    const auto sampler = make_sampler({.kind = kind, .steps = 3});
    Rng rng(1, "test.dtype");
    at::Tensor x = at::ones({2}, at::kBFloat16);
    for (std::int64_t i = 0; i < 3; ++i) {
      x = sampler->step(i, at::ones({2}, at::kBFloat16), x, rng);
      EXPECT_EQ(x.scalar_type(), at::kFloat);
    }
  }
}

}  // namespace
}  // namespace rehyat::diffusion
