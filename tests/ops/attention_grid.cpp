#include <gtest/gtest.h>

#include "ops/attention_case.h"
#include "ops/feature_map.h"

/// All forms, forward and backward, behind real feature maps, over odd sizes.
namespace rehyat::ops {
namespace {

constexpr std::int64_t kHeads = 2, kWidth = 4;

/// q, k, v and the parameters of both maps: everything that a derivative is taken for.
struct Case {
  std::int64_t slices;
  FeatureMap phi_q{nullptr}, phi_k{nullptr};
  at::Tensor q, k, v, dy;

  std::vector<at::Tensor> leaves() const {
    std::vector<at::Tensor> out = {q, k, v};
    for (const FeatureMap& map : {phi_q, phi_k}) {
      for (const auto& p : map->parameters()) out.push_back(p);
    }
    return out;
  }
  at::Tensor run(const AttentionSpec& spec, const std::string& form, const at::Tensor& frozen = {}) const {
    const at::Tensor fq = phi_q.ptr()->forward(q), fk = phi_k.ptr()->forward(k);
    if (form == "reference") return hybrid_attention_reference(q, k, v, fq, fk, slices, spec, frozen);
    if (form == "recurrent") return hybrid_attention_recurrent(q, k, v, fq, fk, slices, spec);
    return hybrid_attention(q, k, v, fq, fk, slices, spec);
  }
  std::vector<at::Tensor> gradients(const AttentionSpec& spec, const std::string& form) const {
    for (at::Tensor leaf : leaves()) leaf.mutable_grad() = at::Tensor();
    run(spec, form).backward(dy);
    std::vector<at::Tensor> out;
    for (const at::Tensor& leaf : leaves())
      out.push_back(leaf.grad().defined() ? leaf.grad().clone() : at::zeros_like(leaf));
    return out;
  }
  double value(const AttentionSpec& spec, const at::Tensor& frozen) const {
    return (run(spec, "reference", frozen) * dy).sum().item<double>();
  }
};

Case make_case(std::int64_t slices, std::int64_t hw, FeatureMapKind kind, Normalizer normalizer) {
  Case out;
  out.slices = slices;
  Rng rng(41, "test.grid");
  FeatureMapConfig config;
  config.kind = kind;
  const auto map = [&] {
    FeatureMap made(kHeads, kWidth, config);
    made->initialize(rng, start_product(normalizer, 3 * hw));
    made->to(at::kDouble);
    return made;
  };
  out.phi_q = map();
  out.phi_k = map();
  const auto draw = [&] { return randn(rng, {1, kHeads, slices * hw, kWidth}).to(at::kDouble); };
  for (at::Tensor* x : {&out.q, &out.k, &out.v}) *x = draw().requires_grad_();
  out.dy = draw();
  return out;
}

double relative(const at::Tensor& a, const at::Tensor& b) {
  return largest_difference(a, b) / std::max(1.0, b.abs().max().item<double>());
}

/// The derivative along a random direction through every entry of every tensor at once, against the gradients' sum.
void expect_directional_derivative(const Case& c, const AttentionSpec& spec, const std::vector<at::Tensor>& grads,
                                   const std::string& name) {
  constexpr double step = 1e-6;
  at::Tensor frozen;
  if (spec.blends() && spec.normalizer == Normalizer::row_max)
    frozen = row_max_of(c.q.detach(), c.k.detach(), c.slices, spec);
  const at::NoGradGuard no_grad;
  const auto leaves = c.leaves();
  Rng rng(42, "test.direction");
  std::vector<at::Tensor> direction;
  double expected = 0, length = 0;
  for (std::size_t i = 0; i < leaves.size(); ++i) {
    direction.push_back(randn(rng, leaves[i].sizes()).to(at::kDouble));
    expected += (grads[i] * direction.back()).sum().item<double>();
    length += grads[i].square().sum().item<double>();
  }
  const auto moved = [&](double by) {
    for (std::size_t i = 0; i < leaves.size(); ++i) leaves[i].add_(direction[i], by);
    const double value = c.value(spec, frozen);
    for (std::size_t i = 0; i < leaves.size(); ++i) leaves[i].sub_(direction[i], by);
    return value;
  };
  EXPECT_NEAR((moved(step) - moved(-step)) / (2 * step), expected, 1e-6 * std::max(1.0, std::sqrt(length))) << name;
}

void expect_agreement(std::int64_t slices, std::int64_t hw, FeatureMapKind kind, const AttentionSpec& spec) {
  const Case c = make_case(slices, hw, kind, spec.normalizer);
  const std::string name = cat(to_string(spec), " T=", slices, " HW=", hw, " phi=", static_cast<int>(kind));
  const at::Tensor reference = c.run(spec, "reference").detach();
  EXPECT_LE(largest_difference(c.run(spec, "chunked").detach(), reference), 1e-12) << name;
  if (spec.recurrent()) {
    EXPECT_LE(largest_difference(c.run(spec, "recurrent").detach(), reference), 1e-12) << name;
  }
  const auto fast = c.gradients(spec, "chunked"), literal = c.gradients(spec, "reference");
  for (std::size_t i = 0; i < fast.size(); ++i)
    EXPECT_LE(relative(fast[i], literal[i]), 1e-10) << name << " leaf " << i;
  expect_directional_derivative(c, spec, fast, name);
}

class Grid : public ::testing::TestWithParam<FeatureMapKind> {};

TEST_P(Grid, RehyatOverSizesAndWindows) {
  for (const auto& [slices, hw] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {5, 3}, {7, 1}}) {
    for (const auto& [tc, to] :
         std::vector<std::pair<int, int>>{{1, 0}, {1, 1}, {2, 1}, {3, 1}, {2, 5}, {3, 3}, {9, 2}}) {
      for (const Normalizer normalizer : {Normalizer::joint, Normalizer::row_max, Normalizer::lse}) {
        for (const bool causal : {true, false})
          expect_agreement(slices, hw, GetParam(), {AttentionKind::rehyat, tc, to, causal, 2, normalizer});
      }
    }
  }
}

TEST_P(Grid, UniformHybridWithFewerTokensThanItsRateToo) {
  for (const auto& [slices, hw] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {1, 3}, {3, 5}}) {
    for (const int rate : {2, 3, 7}) {
      for (const Normalizer normalizer : {Normalizer::joint, Normalizer::row_max, Normalizer::lse})
        expect_agreement(slices, hw, GetParam(), {AttentionKind::uniform_hybrid, 3, 1, true, rate, normalizer});
    }
  }
}

TEST_P(Grid, LinearAndSoftmax) {
  for (const auto& [slices, hw] : std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {5, 3}}) {
    for (const AttentionKind* kind : {AttentionKind::linear, AttentionKind::softmax})
      expect_agreement(slices, hw, GetParam(), {.kind = kind});
  }
}

INSTANTIATE_TEST_SUITE_P(Maps, Grid,
                         ::testing::Values(FeatureMapKind::poly_mlp, FeatureMapKind::hedgehog, FeatureMapKind::elu));

}  // namespace
}  // namespace rehyat::ops
