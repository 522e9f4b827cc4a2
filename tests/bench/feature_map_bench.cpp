#include <benchmark/benchmark.h>
#include <torch/cuda.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>

#include "ops/cuda/fused_feature_map.h"
#include "ops/feature_map.h"
#include "tensor/random.h"

/// One feature map of Wan2.1 1.3B at 480 x 832, 81 frames, on a GPU in bf16: x [1,12,32760,128] as the view that
/// attention has, 256 features; as one kernel a direction (where the GPU and the build have it), as products with a
/// kernel behind each, and as libtorch's operators. Each row has the counters `to_composed` (the time of libtorch's
/// operators over this row's, measured beside it) and `to_floor`: the row's time over what the same machine needs for
/// the more costly of copying as many bytes as x and the features, and their gradients, take, and of multiplying as
/// much, at the rate of a product of 8192 x 8192 numbers.
namespace rehyat::ops {
namespace {

constexpr std::int64_t kTokens = 32760, kHeads = 12, kWidth = 128;
constexpr int kPasses = 10;

double seconds_of_one(const std::function<void()>& work) {
  double best = std::numeric_limits<double>::max();
  work();
  for (int round = 0; round < 5; ++round) {
    torch::cuda::synchronize();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kPasses; ++i) work();
    torch::cuda::synchronize();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / kPasses);
  }
  return best;
}

double copy_seconds(std::int64_t bytes) {
  const auto bytes_on_gpu = at::TensorOptions().dtype(at::kByte).device(at::kCUDA);
  const at::Tensor from = at::zeros({bytes / 2}, bytes_on_gpu), to = at::empty_like(from);
  return seconds_of_one([&] { to.copy_(from); });
}

double product_seconds(double flops) {
  constexpr std::int64_t kSide = 8192;
  const at::Tensor a = at::randn({kSide, kSide}, at::TensorOptions().device(at::kCUDA)).to(at::kBFloat16);
  at::Tensor c = at::empty_like(a);
  const double rate = 2.0 * kSide * kSide * kSide / seconds_of_one([&] { at::mm_out(c, a, a); });
  return flops / rate;
}

enum class Way { map, products, composed };

PolyMap poly_map(const FeatureMap& map) {
  auto named = map->named_parameters();
  PolyMap out{{named["weight_0"], named["weight_1"]}, {named["bias_0"], named["bias_1"]}, {}};
  for (const at::Tensor& weight : out.weights) out.narrow_weights.push_back(weight.detach().to(at::kBFloat16));
  out.slice_width = kWidth;
  return out;
}

void feature_map_on_gpu(benchmark::State& state, bool backward, Way way) {
  if (!torch::cuda::is_available()) {
    state.SkipWithError("no GPU");
    return;
  }
  Rng rng(1, "bench.gpu_map");
  FeatureMap map(kHeads, kWidth, FeatureMapConfig{});
  map->initialize(rng);
  map->to(at::kCUDA);
  const auto draw = [&](std::int64_t width) {
    return at::randn({1, kTokens, kHeads, width}, at::TensorOptions().device(at::kCUDA)).to(at::kBFloat16);
  };
  const at::Tensor x = draw(kWidth).transpose(1, 2).requires_grad_(backward);
  const at::Tensor dy = draw(map->feature_width()).transpose(1, 2).contiguous();
  const at::AutoGradMode mode(backward);
  const PolyMap products = poly_map(map);
  const auto run = [&](Way how) {
    const at::Tensor y = how == Way::composed   ? map->forward_composed(x)
                         : how == Way::products ? map_by_products(x, products)
                                                : map->forward(x);
    if (!backward) return;
    y.backward(dy);
    map->zero_grad();
    x.mutable_grad().reset();
  };
  const double other = seconds_of_one([&] { run(Way::composed); });
  const std::int64_t bytes = (backward ? 3 : 1) * 2 * kTokens * kHeads * (kWidth + map->feature_width());
  const double flops = (backward ? 3.0 : 1.0) * 2.0 * kTokens * kHeads * (kWidth * 256.0 + 256.0 * 256.0);
  double best = std::numeric_limits<double>::max();
  for (auto _ : state) {
    const double seconds = seconds_of_one([&] { run(way); });
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["to_composed"] = other / best;
  state.counters["to_floor"] = best / std::max(copy_seconds(bytes), product_seconds(flops));
}

BENCHMARK_CAPTURE(feature_map_on_gpu, forward, false, Way::map)
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(feature_map_on_gpu, forward_products, false, Way::products)
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(feature_map_on_gpu, forward_composed, false, Way::composed)
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(feature_map_on_gpu, forward_backward, true, Way::map)
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(feature_map_on_gpu, forward_backward_products, true, Way::products)
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(feature_map_on_gpu, forward_backward_composed, true, Way::composed)
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace rehyat::ops
