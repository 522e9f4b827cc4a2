#include <benchmark/benchmark.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>

#include "ops/feature_map.h"
#include "ops/hybrid_attention.h"
#include "tensor/random.h"

/// One block's attention on the CPU, batch 1: 21 slices of 64 tokens, 4 heads of 32, 64 features, float32. The counter
/// `softmax_ratio` is the time of full softmax attention over the time of this row: above 1 is faster than the teacher.
namespace rehyat::ops {
namespace {

constexpr std::int64_t kSlices = 21, kTokens = 64, kHeads = 4, kWidth = 32, kFeatures = 64;

enum class Form { fast, reference, recurrent };

struct Inputs {
  at::Tensor q, k, v, phi_q, phi_k, dy;
};

Inputs make_inputs(bool gradients) {
  Rng rng(1, "bench.attention");
  constexpr std::int64_t n = kSlices * kTokens;
  Inputs in;
  for (at::Tensor* x : {&in.q, &in.k, &in.v, &in.dy}) *x = randn(rng, {1, kHeads, n, kWidth});
  for (at::Tensor* x : {&in.phi_q, &in.phi_k}) *x = rehyat::rand(rng, {1, kHeads, n, kFeatures});
  for (at::Tensor* x : {&in.q, &in.k, &in.v, &in.phi_q, &in.phi_k}) x->requires_grad_(gradients);
  return in;
}

void run_once(const Inputs& in, const AttentionSpec& spec, Form form, bool backward) {
  const at::AutoGradMode mode(backward);
  const auto run = [form](const auto&... arguments) {
    return form == Form::recurrent ? hybrid_attention_recurrent(arguments...) : hybrid_attention(arguments...);
  };
  const at::Tensor y = form == Form::reference
                           ? hybrid_attention_reference(in.q, in.k, in.v, in.phi_q, in.phi_k, kSlices, spec)
                           : run(in.q, in.k, in.v, in.phi_q, in.phi_k, kSlices, spec);
  benchmark::DoNotOptimize(y.const_data_ptr());
  if (!backward) return;
  // Softmax attention uses no features, linear attention neither q nor k.
  const auto gradients = torch::autograd::grad({y}, {in.q, in.k, in.v, in.phi_q, in.phi_k}, {in.dy}, std::nullopt,
                                               false, /*allow_unused=*/true);
  benchmark::DoNotOptimize(gradients[2].const_data_ptr());
}

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The teacher's attention, measured beside every row, since a machine's speed changes with its other work.
double softmax_seconds(const Inputs& in, bool backward) {
  const auto once = [&] { run_once(in, {.kind = AttentionKind::softmax}, Form::fast, backward); };
  once();
  double best = std::numeric_limits<double>::max();
  for (int i = 0; i < 5; ++i) best = std::min(best, seconds_of(once));
  return best;
}

void attention(benchmark::State& state, const AttentionSpec& spec, Form form, bool backward) {
  const Inputs in = make_inputs(backward);
  const double teacher = softmax_seconds(in, backward);
  run_once(in, spec, form, backward);
  double best = std::numeric_limits<double>::max();
  for (auto _ : state) best = std::min(best, seconds_of([&] { run_once(in, spec, form, backward); }));
  state.counters["softmax_ratio"] = teacher / best;
  state.SetLabel(to_string(spec));
}

void feature_map(benchmark::State& state, FeatureMapKind kind) {
  const Inputs in = make_inputs(false);
  FeatureMap map(kHeads, kWidth, FeatureMapConfig{.kind = kind});
  Rng rng(1, "bench.phi");
  map->initialize(rng);
  const at::NoGradGuard no_grad;
  for (auto _ : state) benchmark::DoNotOptimize(map->forward(in.q).const_data_ptr());
}

const AttentionSpec kSoftmax{.kind = AttentionKind::softmax};
const AttentionSpec kChunked{.kind = AttentionKind::rehyat, .tc = 3, .to = 1};
const AttentionSpec kSmallChunks{.kind = AttentionKind::rehyat, .tc = 1, .to = 1};
const AttentionSpec kLargeChunks{.kind = AttentionKind::rehyat, .tc = 5, .to = 1};
const AttentionSpec kNonCausal{.kind = AttentionKind::rehyat, .tc = 3, .to = 0, .causal = false};
const AttentionSpec kUniform{.kind = AttentionKind::uniform_hybrid, .rate = 4};
const AttentionSpec kLinear{.kind = AttentionKind::linear};

#define REHYAT_ATTENTION(name, spec, form, backward) \
  BENCHMARK_CAPTURE(attention, name, spec, form, backward)->Unit(benchmark::kMillisecond)

REHYAT_ATTENTION(softmax_forward, kSoftmax, Form::fast, false);
REHYAT_ATTENTION(chunked_forward, kChunked, Form::fast, false);
REHYAT_ATTENTION(chunked_1_1_forward, kSmallChunks, Form::fast, false);
REHYAT_ATTENTION(chunked_5_1_forward, kLargeChunks, Form::fast, false);
REHYAT_ATTENTION(non_causal_forward, kNonCausal, Form::fast, false);
REHYAT_ATTENTION(recurrent_forward, kChunked, Form::recurrent, false);
REHYAT_ATTENTION(uniform_forward, kUniform, Form::fast, false);
REHYAT_ATTENTION(linear_forward, kLinear, Form::fast, false);
REHYAT_ATTENTION(reference_forward, kChunked, Form::reference, false);
REHYAT_ATTENTION(softmax_forward_backward, kSoftmax, Form::fast, true);
REHYAT_ATTENTION(chunked_forward_backward, kChunked, Form::fast, true);
REHYAT_ATTENTION(chunked_1_1_forward_backward, kSmallChunks, Form::fast, true);
REHYAT_ATTENTION(chunked_5_1_forward_backward, kLargeChunks, Form::fast, true);
REHYAT_ATTENTION(non_causal_forward_backward, kNonCausal, Form::fast, true);
REHYAT_ATTENTION(uniform_forward_backward, kUniform, Form::fast, true);
REHYAT_ATTENTION(linear_forward_backward, kLinear, Form::fast, true);
REHYAT_ATTENTION(reference_forward_backward, kChunked, Form::reference, true);
BENCHMARK_CAPTURE(feature_map, poly_mlp, FeatureMapKind::poly_mlp)->Unit(benchmark::kMillisecond);
BENCHMARK_CAPTURE(feature_map, hedgehog, FeatureMapKind::hedgehog)->Unit(benchmark::kMillisecond);

}  // namespace
}  // namespace rehyat::ops
