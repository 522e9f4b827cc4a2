#include <benchmark/benchmark.h>
#include <torch/cuda.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>

#include "ops/feature_map.h"
#include "tensor/random.h"

/// One feature map of Wan2.1 1.3B at 480 x 832, 81 frames, on a GPU in bf16: x [1,12,32760,128] as the view that
/// attention has, 256 features. Each row has the counters `to_composed` (the time of libtorch's operators over this
/// row's, measured beside it) and `to_copy` (the row's time over that of copying as many bytes as x and the features,
/// and their gradients, take).
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

void feature_map_on_gpu(benchmark::State& state, bool backward, bool composed) {
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
  const auto run = [&](bool plain) {
    const at::Tensor y = plain ? map->forward_composed(x) : map->forward(x);
    if (!backward) return;
    y.backward(dy);
    map->zero_grad();
    x.mutable_grad().reset();
  };
  const double other = seconds_of_one([&] { run(true); });
  const std::int64_t bytes = (backward ? 3 : 1) * 2 * kTokens * kHeads * (kWidth + map->feature_width());
  double best = std::numeric_limits<double>::max();
  for (auto _ : state) {
    const double seconds = seconds_of_one([&] { run(composed); });
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["to_composed"] = other / best;
  state.counters["to_copy"] = best / copy_seconds(bytes);
}

BENCHMARK_CAPTURE(feature_map_on_gpu, forward, false, false)
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(feature_map_on_gpu, forward_composed, false, true)
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(feature_map_on_gpu, forward_backward, true, false)
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(feature_map_on_gpu, forward_backward_composed, true, true)
    ->UseManualTime()
    ->Iterations(3)
    ->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace rehyat::ops
