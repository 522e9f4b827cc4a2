#include <gtest/gtest.h>

#include <functional>
#include <limits>

#include "ops/attention_case.h"
#include "ops/blend.h"
#include "ops/linear_state.h"
#include "ops/softmax_rectangle.h"

namespace rehyat::ops {
namespace {

constexpr Normalizer kNormalizers[] = {Normalizer::joint, Normalizer::row_max, Normalizer::lse};

bool finite(const at::Tensor& x) {
  return at::isfinite(x).all().item<bool>();
}

/// Every score is `level`: q and k are constant, their product over 4 entries divided by sqrt(4).
Inputs constant_logits(double level, at::ScalarType type) {
  Inputs in = random_inputs(6, 3, 31, type, 1);
  in.q.fill_(level / 2);
  in.k.fill_(1);
  return in;
}

/// Scores spread over [-100, 100].
Inputs random_logits(at::ScalarType type) {
  Inputs in = random_inputs(6, 3, 32, at::kDouble, 1);
  const at::Tensor s = at::matmul(in.q, in.k.transpose(-1, -2)) / 2;
  in.q = in.q * (100 / s.abs().max());
  for (at::Tensor* x : in.all()) *x = x->to(type);
  in.dy = in.dy.to(type);
  return in;
}

std::vector<std::pair<std::string, Inputs>> extreme_inputs() {
  return {{"-100", constant_logits(-100, at::kFloat)},
          {"+100", constant_logits(100, at::kFloat)},
          {"random", random_logits(at::kFloat)}};
}

TEST(AttentionExtremes, LogitsOf100AreRightInFloat32) {
  for (const auto& [name, in] : extreme_inputs()) {
    for (const AttentionSpec& spec : grid_of_specs()) {
      const at::Tensor exact = run_reference(in_double(in), spec);
      // float32 leaves an error of 1e-5 in a score of 100.
      EXPECT_LE(largest_difference(run_fast(in, spec), exact), 2e-4) << to_string(spec) << ' ' << name;
      EXPECT_LE(largest_difference(run_reference(in, spec), exact), 2e-4) << to_string(spec) << ' ' << name;
      if (!spec.recurrent()) continue;
      EXPECT_LE(largest_difference(run_recurrent(in, spec), exact), 2e-4) << to_string(spec) << ' ' << name;
    }
  }
}

/// With mass in the linear branch and without: e^{100} / 0 is where exponentials overflow.
TEST(AttentionExtremes, GradientsStayFiniteInFloat32) {
  for (const auto& [name, given] : extreme_inputs()) {
    for (const bool empty : {false, true}) {
      Inputs in = given;
      if (empty) in.phi_q = at::zeros_like(in.phi_q);
      for (const AttentionSpec& spec : grid_of_specs()) {
        if (empty && !spec.blends()) continue;
        const auto fast = gradients(in, [&](const Inputs& x) { return run_fast(x, spec); });
        const auto literal = gradients(in, [&](const Inputs& x) { return run_reference(x, spec); });
        EXPECT_TRUE(finite(run_fast(in, spec)) && finite(run_reference(in, spec))) << to_string(spec) << ' ' << name;
        for (std::size_t i = 0; i < fast.size(); ++i) {
          EXPECT_TRUE(finite(fast[i])) << to_string(spec) << ' ' << name << " d" << kNames[i];
          EXPECT_TRUE(finite(literal[i])) << to_string(spec) << ' ' << name << " d" << kNames[i];
        }
        const auto exact = gradients(in_double(in), [&](const Inputs& x) { return run_reference(x, spec); });
        for (std::size_t i = 0; i < 3; ++i) {  // the features' grow as e^{100}, which float32 does not hold
          const double tolerance = 1e-3 * std::max(1.0, exact[i].abs().max().item<double>());
          EXPECT_LE(largest_difference(fast[i], exact[i]), tolerance)
              << to_string(spec) << ' ' << name << " d" << kNames[i];
          EXPECT_LE(largest_difference(literal[i], exact[i]), tolerance)
              << to_string(spec) << ' ' << name << " d" << kNames[i];
        }
      }
    }
  }
}

TEST(AttentionExtremes, LogitsOf1000StayFinite) {
  for (const AttentionSpec& spec : grid_of_specs()) {
    const Inputs in = random_inputs(6, 3, 7, at::kFloat, 1, 1000);
    EXPECT_TRUE(finite(run_fast(in, spec)) && finite(run_reference(in, spec))) << to_string(spec);
    for (const at::Tensor& grad : gradients(in, [&](const Inputs& x) { return run_fast(x, spec); }))
      EXPECT_TRUE(finite(grad)) << to_string(spec);
  }
}

/// y of the windows alone, chunk by chunk.
at::Tensor windows_only(const Inputs& in, const AttentionSpec& spec) {
  const std::int64_t hw = in.q.size(2) / in.slices;
  std::vector<at::Tensor> rows;
  for (const Chunk& chunk : chunks_of(in.slices, spec.tc, spec.to)) {
    const auto keys = [&](const at::Tensor& x) {
      return x.narrow(2, chunk.window.begin * hw, chunk.window.size() * hw).contiguous();
    };
    rows.push_back(
        softmax_rectangle(in.q.narrow(2, chunk.queries.begin * hw, chunk.queries.size() * hw), keys(in.k), keys(in.v))
            .o);
  }
  return at::cat(rows, 2);
}

/// Features whose mass is 0 for every second query, by phi_q = 0 or by features that cancel and leave a != 0.
Inputs without_mass(at::ScalarType type, bool cancelling) {
  Inputs in = random_inputs(7, 4, 33, type);
  for (std::int64_t i = 0; i < in.q.size(2); i += 2) {
    in.phi_q.select(2, i).zero_();
    if (cancelling) in.phi_q.select(2, i).select(2, 0).fill_(1);
  }
  if (cancelling) {
    const at::Tensor sign = at::arange(in.q.size(2), in.q.options()).remainder(2) * 2 - 1;  // 0 over each slice
    in.phi_k.select(3, 0).copy_(sign.expand({2, 2, -1}));
  }
  return in;
}

TEST(AttentionExtremes, RowsWithoutLinearMassAreTheWindowsSoftmaxBitForBit) {
  for (const auto type : {at::kDouble, at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const bool cancelling : {false, true}) {
      const Inputs in = without_mass(type, cancelling);
      for (const AttentionSpec& spec : grid_of_specs()) {
        if (spec.kind != AttentionKind::rehyat || (cancelling && spec.normalizer == Normalizer::joint)) continue;
        const auto even = [](const at::Tensor& x) { return x.slice(2, 0, x.size(2), 2); };
        const at::Tensor window = windows_only(in, spec);
        EXPECT_TRUE(at::equal(even(run_fast(in, spec)), even(window))) << to_string(spec) << ' ' << type;
        if (spec.causal) {
          EXPECT_TRUE(at::equal(even(run_recurrent(in, spec)), even(window))) << to_string(spec) << ' ' << type;
        }
        // The reference computes o otherwise: its own, with no features at all.
        Inputs none = in;
        none.phi_q = at::zeros_like(in.phi_q);
        EXPECT_TRUE(at::equal(even(run_reference(in, spec)), even(run_reference(none, spec)))) << to_string(spec);
        EXPECT_LE(largest_difference(even(run_reference(in, spec)), even(window)), type == at::kDouble  ? 1e-12
                                                                                   : type == at::kFloat ? 1e-5
                                                                                                        : 3e-2);
      }
    }
  }
}

/// At n = 0 every form takes the formula's one-sided derivative: w dy for a and -w y dy for n.
TEST(AttentionExtremes, GradientsWithoutLinearMassAgree) {
  for (const bool cancelling : {false, true}) {
    const Inputs in = without_mass(at::kDouble, cancelling);
    for (const AttentionSpec& spec : grid_of_specs()) {
      if (spec.kind != AttentionKind::rehyat || (cancelling && spec.normalizer == Normalizer::joint)) continue;
      const auto fast = gradients(in, [&](const Inputs& x) { return run_fast(x, spec); });
      const auto literal = gradients(in, [&](const Inputs& x) { return run_reference(x, spec); });
      for (std::size_t i = 0; i < fast.size(); ++i) {
        const double scale = std::max(1.0, literal[i].abs().max().item<double>());
        EXPECT_LE(largest_difference(fast[i], literal[i]) / scale, 1e-10) << to_string(spec) << " d" << kNames[i];
      }
    }
  }
}

/// n = 1e-44 is denormal in float32: 1 / n is infinite, a / n is not. And NaN does not pass for an empty row.
TEST(AttentionExtremes, DenormalNormalisersAndNaN) {
  const at::Tensor o = at::ones({1, 1, 3, 2}), lse = at::tensor({-110.0F, 0.0F, 0.0F}).view({1, 1, 3});
  const float tiny = 1e-44F, nan = std::numeric_limits<float>::quiet_NaN();
  const at::Tensor both = at::tensor({tiny, tiny, tiny, tiny, tiny, tiny, 1.0F, 1.0F, nan}).view({1, 1, 3, 3});
  const BlendTargets out{at::empty_like(o), at::empty_like(lse), {}, {}};
  BadRows bad(lse, Normalizer::joint);
  blend_into(out, o, lse, both, {}, Normalizer::joint, bad);
  EXPECT_LE(largest_difference(out.y.narrow(2, 0, 2), o.narrow(2, 0, 2)), 1e-6);
  EXPECT_TRUE(out.y.select(2, 2).isnan().all().item<bool>());
}

/// A sum of 65504 is where float16 ends; a video of 960 tokens with features of 100 has z = 1e5.
TEST(AttentionExtremes, LongSumsStayRightInFloat16) {
  Inputs in = random_inputs(24, 40, 34, at::kDouble, 1);
  in.phi_q = in.phi_q * 10;
  in.phi_k = in.phi_k * 200;
  in.dy = in.dy * 500;  // the gradients too small for float16 are not the question here
  for (at::Tensor* x : in.all()) *x = x->to(at::kHalf);
  in.dy = in.dy.to(at::kHalf);
  for (const Normalizer normalizer : kNormalizers) {
    for (const bool causal : {true, false}) {
      const AttentionSpec spec{AttentionKind::rehyat, 5, 1, causal, 2, normalizer};
      const Inputs wide = in_double(in);
      EXPECT_LE(largest_difference(run_fast(in, spec), run_reference(wide, spec)), 1e-2) << to_string(spec);
      if (causal) {
        EXPECT_LE(largest_difference(run_recurrent(in, spec), run_reference(wide, spec)), 1e-2);
      }
      const auto fast = gradients(in, [&](const Inputs& x) { return run_fast(x, spec); });
      const auto exact = gradients(wide, [&](const Inputs& x) { return run_reference(x, spec); });
      for (std::size_t i = 0; i < fast.size(); ++i) {
        const double scale = exact[i].abs().max().item<double>();
        EXPECT_LE(largest_difference(fast[i], exact[i]) / scale, 2e-2) << to_string(spec) << " d" << kNames[i];
      }
    }
  }
}

TEST(LinearState, ProductsWithSumsBeyondFloat16) {
  Rng rng(35, "test.sums");
  const at::Tensor a = rand(rng, {2, 3, 5, 7}).to(at::kHalf);
  for (const double size : {1e-12, 1e-3, 1.0, 1e6, 1e12}) {
    at::Tensor b = randn(rng, {2, 3, 7, 4}) * size;
    b.select(-1, 3).mul_(1e-9);  // columns of very different size
    b.select(-1, 2).zero_();
    const at::Tensor exact = at::matmul(a.to(at::kDouble), b.to(at::kDouble)), found = matmul_sums(a, b);
    EXPECT_EQ(found.scalar_type(), at::kFloat);
    const at::Tensor error = (found - exact).abs().amax(-2), scale = b.abs().amax(-2).to(at::kDouble);
    EXPECT_TRUE((error <= scale * 4e-3).all().item<bool>()) << size;
  }
}

/// Whether S and z may be rounded to bfloat16 for their product: the root mean square error of y = a / n that comes of
/// it, against that of rounding y itself, after 20000 tokens; with v that has a mean (a = n v for the most part) and
/// without.
TEST(LinearState, RoundingOfTheSums) {
  Rng rng(36, "test.sums");
  constexpr std::int64_t tokens = 20000, features = 256, width = 128;
  const auto narrow = [](const at::Tensor& x) { return x.to(at::kBFloat16); };
  const at::Tensor phi_q = narrow(rand(rng, {1, 1, 64, features})), phi_k = narrow(rand(rng, {1, 1, tokens, features}));
  for (const double mean : {0.0, 1.0}) {
    const at::Tensor v = narrow(randn(rng, {1, 1, tokens, width}) + mean);
    const at::Tensor sums = slice_states(phi_k, v, 1).squeeze(2);
    const auto y_of = [](const at::Tensor& both) { return both.narrow(-1, 0, width) / both.narrow(-1, width, 1); };
    const auto rms = [](const at::Tensor& x) { return x.square().mean().sqrt().item<double>(); };
    const at::Tensor exact = y_of(at::matmul(
        phi_q.to(at::kDouble), at::matmul(phi_k.to(at::kDouble).transpose(-1, -2), with_ones(v).to(at::kDouble))));
    const double rounded = rms(y_of(matmul_sums(phi_q, sums)) - exact),
                 kept = rms(y_of(matmul_wide(phi_q.to(at::kFloat), sums)) - exact),
                 output = rms(exact.to(at::kBFloat16) - exact);
    RecordProperty(cat("mean_", mean), cat(rounded, " in bfloat16, ", kept, " in float32, ", output, " of y"));
    EXPECT_LE(rounded, output) << "mean " << mean;
    EXPECT_LE(kept, output / 50);
  }
}

}  // namespace
}  // namespace rehyat::ops
