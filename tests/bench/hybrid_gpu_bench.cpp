#include <benchmark/benchmark.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/cuda.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>

#include "ops/feature_map.h"
#include "ops/hybrid_attention.h"
#include "ops/softmax_rectangle.h"

/// One block's hybrid attention with both feature maps, of Wan2.1 1.3B at 480 x 832, 81 frames, on a GPU in bf16, batch
/// 1, everything trained. The counter `softmax_ratio` is the time of full softmax attention by the library, measured
/// beside the row, over the row's.
namespace rehyat::ops {
namespace {

constexpr std::int64_t kSlices = 21, kTokens = 1560, kHeads = 12, kWidth = 128;

double least_seconds(const std::function<void()>& work, int rounds = 5, int passes = 4) {
  double best = std::numeric_limits<double>::max();
  work();
  for (int round = 0; round < rounds; ++round) {
    torch::cuda::synchronize();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < passes; ++i) work();
    torch::cuda::synchronize();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / passes);
  }
  return best;
}

struct HybridCase {
  at::Tensor q, k, v, dy;
  FeatureMap phi_q{nullptr}, phi_k{nullptr};
  bool backward;

  explicit HybridCase(bool with_backward) : backward(with_backward) {
    Rng rng(1, "bench.hybrid");
    const auto draw = [&] {
      const auto options = at::TensorOptions().device(at::kCUDA);
      return at::randn({1, kSlices * kTokens, kHeads, kWidth}, options).to(at::kBFloat16).transpose(1, 2);
    };
    q = draw().requires_grad_(backward);
    k = draw().requires_grad_(backward);
    v = draw().requires_grad_(backward);
    dy = draw();
    for (FeatureMap* map : {&phi_q, &phi_k}) {
      *map = FeatureMap(kHeads, kWidth, FeatureMapConfig{});
      (*map)->initialize(rng);
      (*map)->to(at::kCUDA);
    }
  }

  void run(const AttentionSpec& spec) {
    const at::AutoGradMode mode(backward);
    const at::Tensor y = spec.kind->has_linear() ? hybrid_attention(q, k, v, phi_q->forward(q), phi_k->forward(k),
                                                                    kSlices, spec, {}, FeatureSign::never_negative)
                                                 : softmax_attention(q, k, v);
    if (!backward) return;
    y.backward(dy);
    for (at::Tensor* x : {&q, &k, &v}) x->mutable_grad().reset();
    phi_q->zero_grad();
    phi_k->zero_grad();
  }
};

void hybrid_on_gpu(benchmark::State& state, const AttentionSpec& spec, bool backward) {
  if (!torch::cuda::is_available()) {
    state.SkipWithError("no GPU");
    return;
  }
  HybridCase in(backward);
  const double teacher = least_seconds([&] { in.run({.kind = AttentionKind::softmax}); }, 2, 2);
  double best = std::numeric_limits<double>::max();
  for (auto _ : state) {
    const double seconds = least_seconds([&] { in.run(spec); });
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["softmax_ratio"] = teacher / best;
  state.SetLabel(to_string(spec));
}

void register_rows() {
  const auto hybrid = [](std::int64_t tc, std::int64_t to, Normalizer normalizer = Normalizer::joint) {
    return AttentionSpec{AttentionKind::rehyat, tc, to, true, 2, normalizer};
  };
  const std::pair<const char*, AttentionSpec> rows[] = {{"hybrid_3_1", hybrid(3, 1)},
                                                        {"hybrid_1_1", hybrid(1, 1)},
                                                        {"hybrid_5_1", hybrid(5, 1)},
                                                        {"hybrid_3_1_lse", hybrid(3, 1, Normalizer::lse)},
                                                        {"linear", {.kind = AttentionKind::linear}},
                                                        {"softmax", {.kind = AttentionKind::softmax}}};
  for (const auto& [name, spec] : rows) {
    for (const bool backward : {false, true}) {
      const std::string title = std::string(name) + (backward ? "/forward_backward" : "/forward");
      benchmark::RegisterBenchmark(
          title.c_str(), [spec = spec, backward](benchmark::State& state) { hybrid_on_gpu(state, spec, backward); })
          ->UseManualTime()
          ->Iterations(1)
          ->Unit(benchmark::kMillisecond);
    }
  }
}

[[maybe_unused]] const bool registered = (register_rows(), true);

}  // namespace
}  // namespace rehyat::ops
