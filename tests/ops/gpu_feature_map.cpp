#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <algorithm>

#include "core/strings.h"
#include "ops/cuda/fused_hopper_map.h"
#include "ops/feature_map.h"
#include "tensor/random.h"

/// The kernels of poly_mlp maps against libtorch's operators on the CPU in float64, on the same (rounded) inputs
/// and weights.
namespace rehyat::ops {
namespace {

class GpuFeatureMap : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
  }
};

struct MapCase {
  FeatureMapConfig config;
  std::int64_t batch = 2, heads = 3, tokens = 37, width = 32;
  bool transposed = true;  ///< x is a view of [B,N,A,D], as attention has it
};

FeatureMap drawn_map(const MapCase& in) {
  FeatureMap map(in.heads, in.width, in.config);
  Rng rng(7, "test.gpu_map");
  map->initialize(rng);
  const at::NoGradGuard no_grad;
  for (auto& item : map->named_parameters()) {
    if (item.key().rfind("bias", 0) == 0) item.value().add_(randn(rng, item.value().sizes()) * 0.3);
  }
  return map;
}

/// The map's output, then the gradients of x and of each parameter, for one upstream gradient.
std::vector<at::Tensor> run_map(FeatureMap& map, const at::Tensor& x, const at::Tensor& dy, bool composed) {
  const at::Tensor in = x.detach().requires_grad_(true);
  map->zero_grad();
  const at::Tensor y = composed ? map->forward_composed(in) : map->forward(in);
  y.backward(dy);
  std::vector<at::Tensor> found = {y.detach(), in.grad()};
  for (const at::Tensor& parameter : map->parameters()) found.push_back(parameter.grad().clone());
  return found;
}

double norm_difference(const at::Tensor& found, const at::Tensor& exact) {
  const at::Tensor wide = found.to(at::kCPU, at::kDouble);
  return ((wide - exact).norm() / exact.norm().clamp_min(1e-12)).item<double>();
}

/// Relative norms of output and gradients are within `tolerance`, or, where a setting is badly conditioned in the type
/// (exp, powers of both signs), about those of the composition.
void expect_right(const MapCase& in, at::ScalarType type, double tolerance) {
  Rng rng(8, "test.gpu_map");
  at::Tensor x = randn(rng, {in.batch, in.tokens, in.heads, in.width}).to(at::kCUDA, type).transpose(1, 2);
  if (!in.transposed) x = x.contiguous();
  FeatureMap exact = drawn_map(in), fast = drawn_map(in);
  const at::Tensor dy = randn(rng, {in.batch, in.heads, in.tokens, exact->feature_width()}).to(at::kCUDA, type);
  {
    // Both see the weights as the products do; the biases are float32 in either.
    const at::NoGradGuard no_grad;
    for (const FeatureMap& map : {exact, fast}) {
      for (auto& item : map->named_parameters()) {
        if (item.key().rfind("weight", 0) == 0) item.value().copy_(item.value().to(type));
      }
    }
  }
  exact->to(at::kDouble);
  fast->to(at::kCUDA);
  const auto wide = run_map(exact, x.to(at::kCPU, at::kDouble), dy.to(at::kCPU, at::kDouble), true);
  const auto found = run_map(fast, x, dy, false), composed = run_map(fast, x, dy, true);
  for (std::size_t i = 0; i < wide.size(); ++i) {
    const std::string name =
        cat("tensor ", i, " of ", wide.size(), ", ", at::toString(type), ", layers ", in.config.layers, ", degree ",
            in.config.degree, ", tokens ", in.tokens, ", activation ", static_cast<int>(in.config.activation),
            ", nonnegative ", static_cast<int>(in.config.nonnegative));
    ASSERT_EQ(found[i].sizes(), wide[i].sizes()) << name;
    EXPECT_LE(norm_difference(found[i], wide[i]), std::max(tolerance, 1.5 * norm_difference(composed[i], wide[i])))
        << name;
  }
}

void expect_right(const MapCase& in) {
  // Rounding moves some inputs across the kink of relu, each of which changes a gradient altogether; the square of exp
  // makes of one large product's rounding most of the norm.
  const bool sensitive = in.config.activation == Activation::relu || in.config.nonnegative == NonNegative::relu ||
                         in.config.nonnegative == NonNegative::exp;
  expect_right(in, at::kFloat, 2e-5);
  expect_right(in, at::kBFloat16, sensitive ? 5e-2 : 1e-2);
  expect_right(in, at::kHalf, sensitive ? 2e-2 : 2e-3);
}

TEST_F(GpuFeatureMap, EverySetting) {
  for (const Activation activation : {Activation::gelu, Activation::silu, Activation::relu}) {
    for (const NonNegative sign : {NonNegative::softplus, NonNegative::relu, NonNegative::exp, NonNegative::none}) {
      MapCase in;
      in.config.activation = activation;
      in.config.nonnegative = sign;
      expect_right(in);
    }
  }
}

TEST_F(GpuFeatureMap, EveryShape) {
  for (const std::int64_t layers : {1, 2, 3}) {
    for (const std::int64_t degree : {1, 2, 3}) {
      for (const std::int64_t hidden : {0, 24}) {
        for (const std::int64_t tokens : {1, 8, 1000}) {
          MapCase in;
          in.config.layers = layers;
          in.config.degree = degree;
          in.config.hidden = hidden;
          in.tokens = tokens;
          in.batch = tokens == 8 ? 1 : 2;
          in.transposed = tokens != 1000;
          expect_right(in, at::kBFloat16, 1e-2);
        }
      }
    }
  }
}

TEST_F(GpuFeatureMap, TheRealShape) {
  MapCase in;
  in.batch = 1;
  in.heads = 2;
  in.tokens = 4680;
  in.width = 128;
  expect_right(in);
}

/// The recipe's sizes, which on Hopper are one kernel a direction.
class HopperFeatureMap : public GpuFeatureMap {
 protected:
  void SetUp() override {
    GpuFeatureMap::SetUp();
    if (IsSkipped()) return;
    const auto zeros = [](at::IntArrayRef sizes) {
      return at::zeros(sizes, at::TensorOptions().device(at::kCUDA).dtype(at::kBFloat16));
    };
    const std::vector<at::Tensor> weights = {zeros({3, 128, 256}), zeros({3, 256, 256})};
    const PolyMap map{weights, {}, weights, Activation::gelu, NonNegative::softplus, 128};
    if (!has_hopper_map(zeros({1, 3, 8, 128}), map))
      GTEST_SKIP() << "the GPU is not of compute capability 9.0, or the build has no CUTLASS";
  }
  static MapCase recipe(std::int64_t batch, std::int64_t tokens, bool transposed) {
    MapCase in;
    in.batch = batch;
    in.tokens = tokens;
    in.width = 128;
    in.transposed = transposed;
    return in;
  }
};

PolyMap poly_map_of(const FeatureMap& map) {
  auto named = map->named_parameters();
  PolyMap out{{named["weight_0"], named["weight_1"]}, {named["bias_0"], named["bias_1"]}, {}};
  for (const at::Tensor& weight : out.weights) out.narrow_weights.push_back(weight.detach().to(at::kBFloat16));
  out.activation = map->config().activation;
  out.nonnegative = map->config().nonnegative;
  out.slice_width = 128;
  return out;
}

TEST_F(HopperFeatureMap, EverySetting) {
  for (const Activation activation : {Activation::gelu, Activation::silu, Activation::relu}) {
    for (const NonNegative sign : {NonNegative::softplus, NonNegative::relu, NonNegative::exp, NonNegative::none}) {
      MapCase in = recipe(2, 130, true);
      in.config.activation = activation;
      in.config.nonnegative = sign;
      const bool sensitive = activation == Activation::relu || sign == NonNegative::relu || sign == NonNegative::exp;
      expect_right(in, at::kBFloat16, sensitive ? 5e-2 : 1e-2);
    }
  }
}

TEST_F(HopperFeatureMap, EveryNumberOfTokens) {
  for (const std::int64_t tokens : {1, 7, 63, 64, 65, 129, 1007}) {
    expect_right(recipe(1, tokens, tokens % 2 == 0), at::kBFloat16, 1e-2);
    expect_right(recipe(3, tokens, tokens % 2 == 1), at::kBFloat16, 1e-2);
  }
}

/// Both ways on the same view: relative norms of their difference, which is rounding alone.
TEST_F(HopperFeatureMap, ViewsAsTheyLie) {
  FeatureMap map = drawn_map(recipe(2, 129, true));
  map->to(at::kCUDA);
  Rng rng(11, "test.gpu_map");
  const at::Tensor whole = randn(rng, {2, 200, 3, 256}).to(at::kCUDA, at::kBFloat16);
  const at::Tensor dy = randn(rng, {2, 129, 3, 256}).to(at::kCUDA, at::kBFloat16).transpose(1, 2);
  for (const std::int64_t column : {0, 24, 128, 4}) {
    const at::Tensor x = whole.narrow(1, 11, 129).narrow(3, column, 128).transpose(1, 2).detach();
    ASSERT_EQ(has_hopper_map(x, poly_map_of(map)), column % 8 == 0) << column;
    std::vector<at::Tensor> found[2];
    for (const bool products : {false, true}) {
      const at::Tensor in = x.detach().requires_grad_(true);
      map->zero_grad();
      const at::Tensor y = products ? map_by_products(in, poly_map_of(map)) : fused_map(in, poly_map_of(map));
      y.backward(dy);
      found[products] = {y.detach(), in.grad()};
      for (const at::Tensor& parameter : map->parameters()) found[products].push_back(parameter.grad().clone());
    }
    for (std::size_t i = 0; i < found[0].size(); ++i)
      EXPECT_LE(norm_difference(found[0][i], found[1][i].to(at::kCPU, at::kDouble)), 1e-2) << column << ", " << i;
  }
}

TEST_F(HopperFeatureMap, WhatIsNotWantedIsNotComputed) {
  const MapCase in = recipe(1, 200, true);
  FeatureMap map = drawn_map(in);
  map->to(at::kCUDA);
  Rng rng(12, "test.gpu_map");
  const at::Tensor x = randn(rng, {1, in.tokens, in.heads, in.width}).to(at::kCUDA, at::kBFloat16).transpose(1, 2);
  const at::Tensor dy = randn(rng, {1, in.heads, in.tokens, 256}).to(at::kCUDA, at::kBFloat16);
  const auto all = run_map(map, x, dy, false);
  // Frozen inputs, as in distillation; then frozen weights.
  map->zero_grad();
  map->forward(x).backward(dy);
  const auto parameters = map->parameters();
  for (std::size_t i = 0; i < parameters.size(); ++i) EXPECT_TRUE(at::equal(parameters[i].grad(), all[i + 2])) << i;
  for (const at::Tensor& parameter : parameters) parameter.requires_grad_(false);
  const at::Tensor wanted = x.detach().requires_grad_(true);
  map->forward(wanted).backward(dy);
  EXPECT_TRUE(at::equal(wanted.grad(), all[1]));
}

TEST_F(HopperFeatureMap, TwoBackwardPassesGiveTheSameBits) {
  MapCase in = recipe(2, 3001, false);
  in.heads = 5;
  FeatureMap map = drawn_map(in);
  map->to(at::kCUDA);
  Rng rng(13, "test.gpu_map");
  const at::Tensor x = randn(rng, {2, in.heads, in.tokens, in.width}).to(at::kCUDA, at::kBFloat16);
  const at::Tensor dy = randn(rng, {2, in.heads, in.tokens, 256}).to(at::kCUDA, at::kBFloat16);
  const auto first = run_map(map, x, dy, false), second = run_map(map, x, dy, false);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(at::equal(first[i], second[i])) << i;
}

TEST_F(GpuFeatureMap, WidthsThatTheKernelsDoNotServe) {
  MapCase in;
  in.config.hidden = 20;
  expect_right(in, at::kBFloat16, 2e-2);
  in.config.hidden = 4096;
  expect_right(in, at::kBFloat16, 2e-2);
}

TEST_F(GpuFeatureMap, WithoutGradientsAndWithFrozenWeights) {
  const MapCase in;
  FeatureMap map = drawn_map(in);
  map->to(at::kCUDA);
  Rng rng(9, "test.gpu_map");
  const at::Tensor x = randn(rng, {1, in.heads, 50, in.width}).to(at::kCUDA, at::kBFloat16);
  const at::Tensor trained = map->forward(x).detach();
  {
    const at::NoGradGuard no_grad;
    EXPECT_TRUE(at::equal(map->forward(x), trained));
  }
  for (const at::Tensor& parameter : map->parameters()) parameter.requires_grad_(false);
  EXPECT_FALSE(map->forward(x).requires_grad());
  const at::Tensor wanted = x.detach().requires_grad_(true);
  map->forward(wanted).sum().backward();
  EXPECT_GT(wanted.grad().abs().max().item<double>(), 0);
}

TEST_F(GpuFeatureMap, TwoBackwardPassesGiveTheSameBits) {
  MapCase in;
  in.tokens = 3000;
  FeatureMap map = drawn_map(in);
  map->to(at::kCUDA);
  Rng rng(10, "test.gpu_map");
  const at::Tensor x = randn(rng, {2, in.heads, in.tokens, in.width}).to(at::kCUDA, at::kBFloat16);
  const at::Tensor dy = randn(rng, {2, in.heads, in.tokens, map->feature_width()}).to(at::kCUDA, at::kBFloat16);
  const auto first = run_map(map, x, dy, false), second = run_map(map, x, dy, false);
  for (std::size_t i = 0; i < first.size(); ++i) EXPECT_TRUE(at::equal(first[i], second[i])) << i;
}

}  // namespace
}  // namespace rehyat::ops
