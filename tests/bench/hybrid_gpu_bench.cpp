#include <benchmark/benchmark.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/cuda.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>

#include "core/strings.h"
#include "ops/attention/plan.h"
#include "ops/feature_map.h"
#include "ops/hybrid_attention.h"
#include "ops/softmax_rectangle.h"

/// One block's hybrid attention with both feature maps, of Wan2.1 1.3B at 480 x 832, 81 frames, on a GPU in bf16, batch
/// 1, everything trained. Counters of a row, all measured beside it: `floor_ms` is the least that these kernels could
/// take: cuDNN's calls alone, the products of the feature maps and of the linear branch at the rate of one large
/// product (twice more in a backward pass), and q, k, v, y (backward dy, dq, dk, dv too) once through memory at the
/// rate of a copy; `to_floor` is the row's time over it; `softmax_ratio` the time of full softmax attention over the
/// row's. The rows `pair_` are all chunk sizes up to 7 slices with overlaps up to 3.
namespace rehyat::ops {
namespace {

constexpr std::int64_t kSlices = 21, kTokens = 1560, kHeads = 12, kWidth = 128, kFeatures = 256;

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

/// [1,A,N,D] as a model passes it: a view of [1,N,A,D].
at::Tensor drawn_heads(std::int64_t tokens = kSlices * kTokens) {
  const auto options = at::TensorOptions().device(at::kCUDA);
  return at::randn({1, tokens, kHeads, kWidth}, options).to(at::kBFloat16).transpose(1, 2);
}

struct HybridCase {
  at::Tensor q, k, v, dy;
  FeatureMap phi_q{nullptr}, phi_k{nullptr};
  bool backward;

  explicit HybridCase(bool with_backward) : backward(with_backward) {
    Rng rng(1, "bench.hybrid");
    for (at::Tensor* x : {&q, &k, &v}) *x = drawn_heads().requires_grad_(backward);
    dy = drawn_heads();
    for (FeatureMap* map : {&phi_q, &phi_k}) {
      *map = FeatureMap(kHeads, kWidth, FeatureMapConfig{});
      (*map)->initialize(rng);
      (*map)->to(at::kCUDA);
    }
  }

  /// As a block of a model does it.
  at::Tensor attended(const AttentionSpec& spec) {
    JoinedInput queries{q, nullptr}, keys{k, nullptr};
    if (spec.blends()) {
      queries = joined_input(q);
      keys = joined_input(k);
    }
    return hybrid_attention(queries.x, keys.x, v, phi_q->forward(queries.x), phi_k->forward(keys.x), kSlices, spec, {},
                            FeatureSign::never_negative, nullptr, {queries.pieces, keys.pieces});
  }

  void run(const AttentionSpec& spec) {
    const at::AutoGradMode mode(backward);
    const at::Tensor y = spec.kind->has_linear() ? attended(spec) : softmax_attention(q, k, v);
    if (!backward) return;
    y.backward(dy);
    for (at::Tensor* x : {&q, &k, &v}) x->mutable_grad().reset();
    phi_q->zero_grad();
    phi_k->zero_grad();
  }
};

/// The library's kernels of the softmax branch, and nothing else.
double rectangles_alone(const Plan& plan, bool backward) {
  const at::NoGradGuard no_grad;
  const at::Tensor q = drawn_heads(), dy = drawn_heads();
  const at::Tensor k = drawn_heads(plan.softmax_keys.count), v = drawn_heads(plan.softmax_keys.count);
  const std::vector<RectangleBatch> batches = rectangle_batches(plan);
  return least_seconds([&] {
    for (const RectangleBatch& view : batches) {
      const at::Tensor queries = view.queries(q[0]), keys = view.keys(k[0]), values = view.keys(v[0]);
      const RectangleOutput out = softmax_rectangle(queries, keys, values);
      if (backward) softmax_rectangle_backward(view.queries(dy[0]), queries, keys, values, out.o, out.lse);
    }
  });
}

/// FLOP a second of a large product.
double product_rate() {
  constexpr std::int64_t n = 8192;
  const at::Tensor a = at::randn({n, n}, at::TensorOptions().device(at::kCUDA)).to(at::kBFloat16);
  return 2.0 * n * n * n / least_seconds([&] { at::matmul(a, a); });
}

/// Bytes a second of a copy, each read and each written one counted.
double copy_rate() {
  const at::Tensor from = at::zeros({std::int64_t{1} << 28}, at::TensorOptions().device(at::kCUDA).dtype(at::kFloat));
  const at::Tensor to = at::empty_like(from);
  return 2.0 * static_cast<double>(from.nbytes()) / least_seconds([&] { to.copy_(from); });
}

double floor_seconds(const AttentionSpec& spec, bool backward) {
  const Plan plan = spec.kind->plan(spec, {kSlices, kTokens});
  double products = 0;
  if (spec.kind->has_linear()) {
    const double rows = kHeads * kSlices * kTokens;
    products += 2 * rows * 2 * (kWidth * kFeatures + kFeatures * kFeatures);
    products += 2.0 * kFeatures * (kWidth + 1) * (rows + static_cast<double>(kHeads * plan.linear_keys.count));
  }
  const double tensor = 2.0 * kSlices * kTokens * kHeads * kWidth, passes = backward ? 3 : 1;
  const double softmax = spec.kind->has_softmax() ? rectangles_alone(plan, backward) : 0;
  return softmax + passes * products / product_rate() + (backward ? 12 : 4) * tensor / copy_rate();
}

void hybrid_on_gpu(benchmark::State& state, const AttentionSpec& spec, bool backward, bool beside_softmax) {
  if (!torch::cuda::is_available()) {
    state.SkipWithError("no GPU");
    return;
  }
  HybridCase in(backward);
  const double teacher = beside_softmax ? least_seconds([&] { in.run({.kind = AttentionKind::softmax}); }, 2, 2) : 0;
  double best = std::numeric_limits<double>::max();
  for (auto _ : state) {
    const double seconds = least_seconds([&] { in.run(spec); });
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  const double floor = floor_seconds(spec, backward);
  if (beside_softmax) state.counters["softmax_ratio"] = teacher / best;
  state.counters["floor_ms"] = 1e3 * floor;
  state.counters["to_floor"] = best / floor;
  state.SetLabel(to_string(spec));
}

void register_row(const std::string& name, const AttentionSpec& spec, bool beside_softmax) {
  for (const bool backward : {false, true}) {
    const std::string title = name + (backward ? "/forward_backward" : "/forward");
    benchmark::RegisterBenchmark(title.c_str(),
                                 [=](benchmark::State& state) { hybrid_on_gpu(state, spec, backward, beside_softmax); })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  }
}

void register_rows() {
  const auto hybrid = [](std::int64_t tc, std::int64_t to, Normalizer normalizer = Normalizer::joint,
                         bool causal = true) {
    return AttentionSpec{AttentionKind::rehyat, tc, to, causal, 2, normalizer};
  };
  const auto uniform = [](std::int64_t rate) {
    return AttentionSpec{AttentionKind::uniform_hybrid, 3, 1, true, rate, Normalizer::joint};
  };
  const std::pair<const char*, AttentionSpec> rows[] = {
      {"hybrid_3_1", hybrid(3, 1)},
      {"hybrid_1_1", hybrid(1, 1)},
      {"hybrid_5_1", hybrid(5, 1)},
      {"hybrid_3_1_row_max", hybrid(3, 1, Normalizer::row_max)},
      {"hybrid_3_1_lse", hybrid(3, 1, Normalizer::lse)},
      {"hybrid_3_0_both_ways", hybrid(3, 0, Normalizer::joint, false)},
      {"uniform_8", uniform(8)},
      {"uniform_2", uniform(2)},
      {"linear", {.kind = AttentionKind::linear}},
      {"softmax", {.kind = AttentionKind::softmax}}};
  for (const auto& [name, spec] : rows) register_row(name, spec, true);
  for (const std::int64_t tc : {1, 2, 3, 5, 7}) {
    for (const std::int64_t to : {0, 1, 2, 3}) register_row(cat("pair_", tc, '_', to), hybrid(tc, to), false);
  }
}

[[maybe_unused]] const bool registered = (register_rows(), true);

}  // namespace
}  // namespace rehyat::ops
