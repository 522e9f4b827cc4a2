#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <algorithm>

#include "core/strings.h"
#include "ops/feature_map.h"
#include "tensor/random.h"

/// The kernels behind poly_mlp maps against libtorch's operators on the CPU in float64, on the same (rounded) inputs
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
