#include "evaluate/pointwise_predictor.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/rng.h"
#include "tensor/random.h"

namespace rehyat::evaluate {
namespace {

using testing::expect_error;

/// Latents [2,3,2,2] whose first slice is distributed otherwise than the later ones.
std::vector<at::Tensor> small_latents() {
  std::vector<at::Tensor> latents;
  for (std::uint64_t i = 0; i < 3; ++i) {
    Rng rng(5, "latent", {i});
    at::Tensor x = randn(rng, {2, 3, 2, 2});
    x.select(0, 1).mul_(3);
    x.narrow(1, 0, 1).add_(4);
    latents.push_back(x);
  }
  return latents;
}

PointwisePredictor predictor_of(const std::vector<at::Tensor>& latents, std::int64_t values = 256) {
  return {static_cast<std::int64_t>(latents.size()),
          [&](std::int64_t i) { return latents[static_cast<std::size_t>(i)]; }, 1, values};
}

TEST(PointwisePredictor, IsTheConditionalMeanOfEachValue) {
  const auto latents = small_latents();
  const PointwisePredictor predictor = predictor_of(latents);
  Rng rng(6, "x");
  const at::Tensor x = randn(rng, {2, 3, 2, 2}) * 2 + 1;
  for (const double sigma : {0.05, 0.4, 1.0}) {
    const at::Tensor v = predictor.velocity(x, sigma);
    for (std::int64_t c = 0; c < 2; ++c)
      for (std::int64_t t = 0; t < 3; ++t)
        for (std::int64_t place = 0; place < 4; ++place) {
          const double value = x[c][t][place / 2][place % 2].item<double>();
          double weights = 0, sum = 0, least = INFINITY;
          const auto every = [&](const auto& visit) {  // each training value of this channel and kind of slice
            for (const at::Tensor& latent : latents)
              for (std::int64_t u = t == 0 ? 0 : 1; u < (t == 0 ? 1 : 3); ++u)
                for (std::int64_t p = 0; p < 4; ++p) visit(latent[c][u][p / 2][p % 2].item<double>());
          };
          const auto energy = [&](double x0) { return std::pow((value - (1 - sigma) * x0) / sigma, 2) / 2; };
          every([&](double x0) { least = std::min(least, energy(x0)); });
          every([&](double x0) {
            const double weight = std::exp(least - energy(x0));
            weights += weight;
            sum += weight * x0;
          });
          const double expected = (value - sum / weights) / sigma;
          EXPECT_NEAR(v[c][t][place / 2][place % 2].item<double>(), expected, 1e-4 * std::max(1.0, std::abs(expected)));
        }
  }
}

TEST(PointwisePredictor, QuantilesComeCloseToAllValues) {
  Rng rng(7, "many");
  const std::vector<at::Tensor> latents = {randn(rng, {1, 2, 20, 20})};
  const at::Tensor x = randn(rng, {1, 2, 20, 20});
  const at::Tensor all = predictor_of(latents, 1000).velocity(x, 0.7),
                   few = predictor_of(latents, 100).velocity(x, 0.7);
  EXPECT_LT((all - few).square().mean().item<double>(), 2e-2 * all.square().mean().item<double>());
}

TEST(PointwisePredictor, ReadsABoundedNumberOfLatents) {
  std::int64_t reads = 0;
  const auto latent = [&](std::int64_t i) {
    ++reads;
    Rng rng(8, "latent", {static_cast<std::uint64_t>(i)});
    return randn(rng, {1, 2, 2, 2});
  };
  const PointwisePredictor one(10'000, latent, 1);
  EXPECT_EQ(reads, 256);
  const at::Tensor x = at::ones({1, 2, 2, 2});
  EXPECT_TRUE(at::equal(one.velocity(x, 0.5), PointwisePredictor(10'000, latent, 1).velocity(x, 0.5)));
  EXPECT_FALSE(at::equal(one.velocity(x, 0.5), PointwisePredictor(10'000, latent, 2).velocity(x, 0.5)));
}

TEST(PointwisePredictor, OneSliceAlone) {
  const PointwisePredictor predictor = predictor_of({at::ones({2, 1, 2, 2})});
  const at::Tensor v = predictor.velocity(at::full({2, 1, 2, 2}, 3.0), 0.5);
  EXPECT_TRUE(at::allclose(v, at::full({2, 1, 2, 2}, 4.0)));  // (3 - 1) / 0.5
  expect_error<UserError>([&] { predictor.velocity(at::zeros({2, 3, 2, 2}), 0.5); }, {"[2, 3, 2, 2]", "T = 1"});
}

TEST(PointwisePredictor, RefusesWhatDoesNotFit) {
  const PointwisePredictor predictor = predictor_of(small_latents());
  expect_error<UserError>([&] { predictor.velocity(at::zeros({3, 3, 2, 2}), 0.5); }, {"[3, 3, 2, 2]"});
  expect_error<UserError>([&] { predictor.velocity(at::zeros({2, 3, 2, 2}), 0.0); }, {"sigma"});
  expect_error<UserError>([] { predictor_of({}); }, {"found 0 latents"});
}

}  // namespace
}  // namespace rehyat::evaluate
