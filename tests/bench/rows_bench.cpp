#include <benchmark/benchmark.h>
#include <torch/csrc/autograd/autograd.h>
#include <torch/cuda.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include "ops/linear.h"
#include "ops/row_ops.h"

/// The row-wise steps of a block of Wan2.1 1.3B at 480 x 832, 81 frames, on a GPU: 32,760 tokens of 1,536 channels,
/// bf16 beside a float32 stream, forward and with the backward pass; `composed`: of libtorch's operators. The counter
/// `to_copy` is a row's time over that of copying as many bytes as its inputs, results and, with the backward pass,
/// their gradients take, measured in the same run.
namespace rehyat::ops {
namespace {

using Tensors = std::vector<at::Tensor>;
using Step = std::function<Tensors(const Tensors&)>;

constexpr std::int64_t kTokens = 32760, kHeads = 12, kWidth = 1536, kInner = 8960;
constexpr double kEps = 1e-6;
constexpr int kPasses = 5, kRounds = 3;

double row_seconds(const std::function<void()>& work) {
  double best = std::numeric_limits<double>::max();
  work();
  for (int round = 0; round < kRounds; ++round) {
    torch::cuda::synchronize();
    const auto begin = std::chrono::steady_clock::now();
    for (int i = 0; i < kPasses; ++i) work();
    torch::cuda::synchronize();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count() / kPasses);
  }
  return best;
}

double copy_of(std::int64_t bytes) {
  const at::Tensor from = at::zeros({bytes / 2}, at::TensorOptions().dtype(at::kByte).device(at::kCUDA)),
                   to = at::empty_like(from);
  return row_seconds([&] { to.copy_(from); });
}

at::Tensor drawn(at::IntArrayRef sizes, at::ScalarType type) {
  return at::randn(sizes, at::TensorOptions().device(at::kCUDA)).to(type);
}

/// A step as the model takes it, and as libtorch's operators compute the same.
struct RowStep {
  std::string name;
  Tensors inputs;
  Step kernels, composed;
};

at::Tensor composed_norm(const Tensors& t) {
  return (at::layer_norm(t[0], {kWidth}, {}, {}, kEps) * (1 + t[3]) + t[4]).to(at::kBFloat16);
}

at::Tensor composed_heads(const Tensors& t, const RopeTables& rope) {
  const at::Tensor wide = t[0].to(at::kFloat);
  const at::Tensor normed = (wide * at::rsqrt(wide.square().mean(-1, true) + kEps) * t[1]).to(at::kBFloat16);
  return apply_rope(normed.unflatten(-1, {kHeads, -1}).transpose(1, 2), rope);
}

std::vector<RowStep> row_steps() {
  const at::Tensor x = drawn({1, kTokens, kWidth}, at::kFloat), update = drawn({1, kTokens, kWidth}, at::kBFloat16),
                   parts = drawn({1, 6, kWidth}, at::kFloat);
  const Tensors stream = {x, update, parts.narrow(1, 2, 1), parts.narrow(1, 1, 1), parts.narrow(1, 0, 1)};
  const auto norm = [](const Tensors& t) { return RowNorm{t[3], t[4], true, kEps, at::kBFloat16}; };
  const RopeTables rope = rope_tables(kWidth / kHeads, {21, 30, 52}, at::kFloat, at::kCUDA);
  return {{"norm", stream,
           [norm](const Tensors& t) -> Tensors {
             const NormedStream s = norm_stream(t[0], norm(t));
             return {s.stream, s.normed};
           },
           [](const Tensors& t) -> Tensors {
             return {at::alias(t[0]), composed_norm(t)};
           }},
          {"sum_and_norm", stream,
           [norm](const Tensors& t) -> Tensors {
             const NormedStream s = add_and_norm(t[0], t[1], t[2], norm(t));
             return {s.stream, s.normed};
           },
           [](const Tensors& t) -> Tensors {
             const at::Tensor y = t[0] + t[1].to(at::kFloat) * t[2];
             return {y, composed_norm({y, t[1], t[2], t[3], t[4]})};
           }},
          {"sum", stream, [](const Tensors& t) -> Tensors { return {gated_sum(t[0], t[1], t[2])}; },
           [](const Tensors& t) -> Tensors { return {t[0] + t[1].to(at::kFloat) * t[2]}; }},
          {"heads",
           {update, drawn({kWidth}, at::kFloat)},
           [rope](const Tensors& t) -> Tensors { return {rms_norm_heads(t[0], t[1], kEps, kHeads, &rope)}; },
           [rope](const Tensors& t) -> Tensors { return {composed_heads(t, rope)}; }}};
}

std::int64_t bytes_of(const Tensors& tensors) {
  std::int64_t sum = 0;
  for (const at::Tensor& x : tensors) sum += static_cast<std::int64_t>(x.nbytes());
  return sum;
}

void measure_row(benchmark::State& state, std::size_t which, bool backward, bool composed) {
  if (!torch::cuda::is_available()) {
    state.SkipWithError("no GPU");
    return;
  }
  const RowStep step = row_steps().at(which);
  const at::AutoGradMode mode(backward);
  Tensors inputs, upstream;
  for (const at::Tensor& x : step.inputs) inputs.push_back(x.detach().set_requires_grad(backward));
  const Step& form = composed ? step.composed : step.kernels;
  for (const at::Tensor& y : form(inputs)) upstream.push_back(at::randn_like(y));
  const auto run = [&] {
    const Tensors results = form(inputs);
    if (!backward) return;
    torch::autograd::backward(results, upstream);
    for (at::Tensor& x : inputs) x.mutable_grad().reset();
  };
  // A step that only norms has no update among its inputs.
  const std::int64_t inputs_bytes =
      step.name == "norm" ? static_cast<std::int64_t>(inputs[0].nbytes()) : bytes_of(inputs);
  const std::int64_t bytes = (inputs_bytes + bytes_of(upstream)) * (backward ? 2 : 1);
  double best = std::numeric_limits<double>::max();
  for (auto _ : state) {
    const double seconds = row_seconds(run);
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["to_copy"] = best / copy_of(bytes);
}

void measure_feed_forward(benchmark::State& state, bool backward) {
  if (!torch::cuda::is_available()) {
    state.SkipWithError("no GPU");
    return;
  }
  const at::AutoGradMode mode(backward);
  const auto weight = [&](at::IntArrayRef sizes) {
    return (drawn(sizes, at::kBFloat16) * 0.05).set_requires_grad(backward);
  };
  at::Tensor x = drawn({1, kTokens, kWidth}, at::kBFloat16).set_requires_grad(backward);
  const LinearWeights in{weight({kInner, kWidth}), weight({kInner})}, out{weight({kWidth, kInner}), weight({kWidth})};
  const at::Tensor dy = drawn({1, kTokens, kWidth}, at::kBFloat16);
  const auto products = [&] {
    const at::Tensor y = at::linear(at::linear(x, in.weight, in.bias), out.weight, out.bias);
    if (backward) torch::autograd::grad({y}, {x, in.weight, in.bias, out.weight, out.bias}, {dy});
  };
  const auto whole = [&] {
    const at::Tensor y = feed_forward(x, in, out);
    if (backward) torch::autograd::grad({y}, {x, in.weight, in.bias, out.weight, out.bias}, {dy});
  };
  double best = std::numeric_limits<double>::max();
  for (auto _ : state) {
    const double seconds = row_seconds(whole);
    best = std::min(best, seconds);
    state.SetIterationTime(seconds);
  }
  state.counters["to_products"] = best / row_seconds(products);
}

void add_row(const char* name, std::size_t which) {
  for (const bool backward : {false, true}) {
    for (const bool composed : {false, true}) {
      const std::string full =
          std::string(name) + (backward ? "/forward_backward" : "/forward") + (composed ? "/composed" : "");
      benchmark::RegisterBenchmark(full.c_str(), measure_row, which, backward, composed)
          ->UseManualTime()
          ->Iterations(1)
          ->Unit(benchmark::kMillisecond);
    }
  }
}

[[maybe_unused]] const bool kRegistered = [] {
  const char* const names[] = {"norm", "sum_and_norm", "sum", "heads"};
  for (std::size_t i = 0; i < 4; ++i) add_row(names[i], i);
  for (const bool backward : {false, true}) {
    benchmark::RegisterBenchmark(backward ? "feed_forward/forward_backward" : "feed_forward/forward",
                                 measure_feed_forward, backward)
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  }
  return true;
}();

}  // namespace
}  // namespace rehyat::ops
