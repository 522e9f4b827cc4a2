#pragma once

#include <cmath>
#include <functional>
#include <string>
#include <vector>

#include "core/strings.h"
#include "ops/hybrid_attention.h"
#include "tensor/random.h"

namespace rehyat::ops {

/// Random inputs of one attention.
struct Inputs {
  at::Tensor q, k, v, phi_q, phi_k, dy;
  std::int64_t slices;
  std::vector<at::Tensor*> all() { return {&q, &k, &v, &phi_q, &phi_k}; }
};

inline Inputs random_inputs(std::int64_t slices, std::int64_t hw, std::uint64_t seed, at::ScalarType type = at::kDouble,
                            std::int64_t batch = 2, double logits = 1) {
  constexpr std::int64_t heads = 2, width = 4, features = 6;
  Rng rng(seed, "test.attention");
  const std::int64_t n = slices * hw;
  Inputs in;
  in.slices = slices;
  in.q = (randn(rng, {batch, heads, n, width}) * logits).to(type);
  in.k = randn(rng, {batch, heads, n, width}).to(type);
  in.v = randn(rng, {batch, heads, n, width}).to(type);
  in.phi_q = rand(rng, {batch, heads, n, features}).to(type);
  in.phi_k = rand(rng, {batch, heads, n, features}).to(type);
  in.dy = randn(rng, {batch, heads, n, width}).to(type);
  return in;
}

/// Every kind and normalizer over chunk sizes and overlaps that leave remainders, overlaps above the chunk included.
inline std::vector<AttentionSpec> grid_of_specs() {
  std::vector<AttentionSpec> specs;
  for (const Normalizer normalizer : {Normalizer::joint, Normalizer::row_max, Normalizer::lse}) {
    for (const bool causal : {true, false}) {
      for (const auto& [tc, to] :
           std::vector<std::pair<int, int>>{{1, 0}, {1, 1}, {2, 1}, {3, 0}, {3, 1}, {3, 2}, {2, 5}, {5, 3}, {9, 0}}) {
        specs.push_back({AttentionKind::rehyat, tc, to, causal, 2, normalizer});
      }
    }
    for (const int rate : {2, 3, 7}) specs.push_back({AttentionKind::uniform_hybrid, 3, 1, true, rate, normalizer});
  }
  specs.push_back({AttentionKind::linear, 3, 1, true, 2, Normalizer::joint});
  return specs;
}

/// c of row_max, [B,A,N,1]: the largest score of each query over its softmax keys, key by key.
inline at::Tensor row_max_of(const at::Tensor& q, const at::Tensor& k, std::int64_t slices, const AttentionSpec& spec) {
  const at::Tensor s = at::matmul(q, k.transpose(-1, -2)) / std::sqrt(static_cast<double>(q.size(3)));
  const std::int64_t hw = q.size(2) / slices;
  at::Tensor c = at::empty({q.size(0), q.size(1), q.size(2), 1}, q.options());
  for (std::int64_t i = 0; i < q.size(2); ++i) {
    at::Tensor row = s.select(2, i);
    if (spec.kind == AttentionKind::uniform_hybrid) {
      row = row.slice(-1, 0, row.size(-1), spec.rate);
    } else {
      const Chunk chunk = chunks_of(slices, spec.tc, spec.to)[static_cast<std::size_t>(i / hw / spec.tc)];
      row = row.narrow(-1, chunk.window.begin * hw, chunk.window.size() * hw);
    }
    c.select(2, i).copy_(row.amax(-1, true));
  }
  return c;
}

inline double largest_difference(const at::Tensor& a, const at::Tensor& b) {
  return (a.to(at::kDouble) - b.to(at::kDouble)).abs().max().item<double>();
}

inline at::Tensor run_fast(const Inputs& in, const AttentionSpec& spec) {
  return hybrid_attention(in.q, in.k, in.v, in.phi_q, in.phi_k, in.slices, spec);
}
inline at::Tensor run_recurrent(const Inputs& in, const AttentionSpec& spec) {
  return hybrid_attention_recurrent(in.q, in.k, in.v, in.phi_q, in.phi_k, in.slices, spec);
}
inline at::Tensor run_by_chunks(const Inputs& in, const AttentionSpec& spec) {
  return hybrid_attention_by_chunks(in.q, in.k, in.v, in.phi_q, in.phi_k, in.slices, spec);
}
inline at::Tensor run_reference(const Inputs& in, const AttentionSpec& spec, const at::Tensor& frozen_max = {}) {
  return hybrid_attention_reference(in.q, in.k, in.v, in.phi_q, in.phi_k, in.slices, spec, frozen_max);
}

/// Gradients of sum(y dy) for q, k, v, phi_q, phi_k; zeros where an input has none.
inline std::vector<at::Tensor> gradients(Inputs in, const std::function<at::Tensor(const Inputs&)>& run) {
  for (at::Tensor* x : in.all()) *x = x->detach().clone().requires_grad_();
  run(in).backward(in.dy);
  std::vector<at::Tensor> grads;
  for (at::Tensor* x : in.all()) grads.push_back(x->grad().defined() ? x->grad() : at::zeros_like(*x));
  return grads;
}

inline Inputs in_double(const Inputs& in) {
  Inputs out = in;
  for (at::Tensor* x : out.all()) *x = x->detach().to(at::kCPU, at::kDouble);
  out.dy = in.dy.to(at::kCPU, at::kDouble);
  return out;
}

const std::vector<std::string> kNames = {"q", "k", "v", "phi_q", "phi_k"};

}  // namespace rehyat::ops
