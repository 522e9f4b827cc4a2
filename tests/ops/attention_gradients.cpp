#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "ops/attention_case.h"

namespace rehyat::ops {
namespace {

TEST(AttentionGradients, EqualAutogradThroughTheReference) {
  for (const auto& [slices, hw] :
       std::vector<std::pair<std::int64_t, std::int64_t>>{{1, 1}, {1, 2}, {1, 5}, {7, 3}, {8, 2}}) {
    const Inputs in = random_inputs(slices, hw, 11);
    for (const AttentionSpec& spec : grid_of_specs()) {
      const auto fast = gradients(in, [&](const Inputs& x) { return run_fast(x, spec); });
      const auto exact = gradients(in, [&](const Inputs& x) { return run_reference(x, spec); });
      for (std::size_t i = 0; i < fast.size(); ++i) {
        EXPECT_LE(largest_difference(fast[i], exact[i]), 1e-10)
            << to_string(spec) << " d" << kNames[i] << " T=" << slices;
      }
    }
  }
}

TEST(AttentionGradients, NegativeDenominators) {
  for (const Normalizer normalizer : {Normalizer::row_max, Normalizer::lse}) {
    Inputs in = random_inputs(6, 2, 12);
    in.phi_q = in.phi_q * -1.5;
    const AttentionSpec spec{AttentionKind::rehyat, 2, 1, true, 2, normalizer};
    const auto fast = gradients(in, [&](const Inputs& x) { return run_fast(x, spec); });
    const auto exact = gradients(in, [&](const Inputs& x) { return run_reference(x, spec); });
    for (std::size_t i = 0; i < fast.size(); ++i) {
      const double scale = exact[i].abs().max().item<double>();
      EXPECT_LE(largest_difference(fast[i], exact[i]) / scale, 1e-10) << to_string(spec) << " d" << kNames[i];
    }
  }
}

/// Central differences of sum(y * dy) at a few places of each input; row_max with c frozen at the unperturbed inputs.
TEST(AttentionGradients, EqualFiniteDifferences) {
  constexpr double step = 1e-5;
  for (const AttentionSpec& spec : grid_of_specs()) {
    const Inputs in = random_inputs(5, 2, 13, at::kDouble, 1);
    const auto fast = gradients(in, [&](const Inputs& x) { return run_fast(x, spec); });
    at::Tensor frozen;
    if (spec.normalizer == Normalizer::row_max) frozen = row_max_of(in.q, in.k, in.slices, spec);
    const auto value = [&](const Inputs& x) { return (run_reference(x, spec, frozen) * x.dy).sum().item<double>(); };
    Rng rng(14, "test.places");
    for (std::size_t i = 0; i < kNames.size(); ++i) {
      for (int place = 0; place < 3; ++place) {
        Inputs moved = in;
        at::Tensor& x = *moved.all()[i];
        x = x.clone();
        const auto at = static_cast<std::int64_t>(rng.below(static_cast<std::uint64_t>(x.numel())));
        double* data = x.data_ptr<double>();
        const double kept = data[at];
        data[at] = kept + step;
        const double up = value(moved);
        data[at] = kept - step;
        const double down = value(moved);
        const double expected = fast[i].contiguous().data_ptr<double>()[at];
        EXPECT_NEAR((up - down) / (2 * step), expected, 1e-6 * std::max(1.0, std::abs(expected)))
            << to_string(spec) << " d" << kNames[i];
      }
    }
  }
}

TEST(AttentionGradients, OnlyWhatIsAskedFor) {
  const AttentionSpec spec{AttentionKind::rehyat, 3, 1, true, 2, Normalizer::joint};
  Inputs in = random_inputs(7, 3, 15);
  const auto all = gradients(in, [&](const Inputs& x) { return run_fast(x, spec); });
  in.phi_q.requires_grad_();
  in.phi_k.requires_grad_();
  run_fast(in, spec).backward(in.dy);
  EXPECT_FALSE(in.q.grad().defined());
  EXPECT_LE(largest_difference(in.phi_q.grad(), all[3]), 1e-14);
  EXPECT_LE(largest_difference(in.phi_k.grad(), all[4]), 1e-14);
}

TEST(GivenSoftmaxBranch, GivesTheSameBitsForwardAndBackward) {
  for (const at::ScalarType type : {at::kDouble, at::kFloat, at::kBFloat16}) {
    const Inputs in = random_inputs(7, 3, 5, type);
    for (const AttentionSpec& spec : grid_of_specs()) {
      SCOPED_TRACE(to_string(spec));
      const SoftmaxBranch kept = softmax_branch(in.q, in.k, in.v, in.slices, spec);
      EXPECT_EQ(kept.o.defined(), spec.kind != AttentionKind::linear);
      EXPECT_EQ(kept.bytes() > 0, kept.o.defined());
      std::vector<at::Tensor> results;
      for (const SoftmaxBranch& branch : {SoftmaxBranch(), kept}) {
        const at::Tensor phi_q = in.phi_q.detach().clone().requires_grad_(true),
                         phi_k = in.phi_k.detach().clone().requires_grad_(true);
        const at::Tensor y = hybrid_attention(in.q, in.k, in.v, phi_q, phi_k, in.slices, spec, branch);
        y.backward(in.dy);
        for (const at::Tensor& t : {y.detach(), phi_q.grad(), phi_k.grad()}) results.push_back(t);
      }
      for (std::size_t i = 0; i < 3; ++i) EXPECT_TRUE(at::equal(results[i], results[i + 3])) << i;
    }
  }
}

TEST(GivenSoftmaxBranch, IsRefusedWhereItWouldBeStaleOrOfAnotherShape) {
  Inputs in = random_inputs(5, 2, 6);
  const AttentionSpec spec{.kind = AttentionKind::rehyat, .tc = 2, .to = 1};
  const SoftmaxBranch kept = softmax_branch(in.q, in.k, in.v, in.slices, spec);
  const Inputs other = random_inputs(6, 2, 6);
  testing::expect_error<UserError>(
      [&] { hybrid_attention(other.q, other.k, other.v, other.phi_q, other.phi_k, other.slices, spec, kept); },
      {"given softmax branch"});
  in.k.requires_grad_(true);
  testing::expect_error<UserError>(
      [&] { hybrid_attention(in.q, in.k, in.v, in.phi_q, in.phi_k, in.slices, spec, kept); }, {"want gradients"});
}

}  // namespace
}  // namespace rehyat::ops
