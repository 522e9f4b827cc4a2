#include <gtest/gtest.h>

#include "ops/attention_case.h"

namespace rehyat::ops {
namespace {

const std::vector<std::pair<std::int64_t, std::int64_t>> kSizes = {{1, 1}, {1, 3}, {2, 1},
                                                                   {7, 3}, {8, 5}, {11, 2}};  // slices, HW

TEST(AttentionForms, ChunkedEqualsReferenceInFloat64) {
  for (const auto& [slices, hw] : kSizes) {
    const Inputs in = random_inputs(slices, hw, 1);
    for (const AttentionSpec& spec : grid_of_specs()) {
      EXPECT_LE(largest_difference(run_fast(in, spec), run_reference(in, spec)), 1e-12)
          << to_string(spec) << " T=" << slices << " HW=" << hw;
    }
  }
}

TEST(AttentionForms, RecurrentEqualsChunkedInFloat64) {
  for (const auto& [slices, hw] : kSizes) {
    const Inputs in = random_inputs(slices, hw, 2);
    for (const AttentionSpec& spec : grid_of_specs()) {
      if (!spec.recurrent()) continue;
      const at::Tensor expected = run_fast(in, spec);
      EXPECT_LE(largest_difference(run_recurrent(in, spec), expected), 1e-12) << to_string(spec) << " T=" << slices;
      EXPECT_LE(largest_difference(run_by_chunks(in, spec), expected), 1e-12) << to_string(spec) << " T=" << slices;
    }
  }
}

TEST(AttentionForms, NarrowTypesStayWithinRounding) {
  for (const auto& [type, tolerance] :
       std::vector<std::pair<at::ScalarType, double>>{{at::kFloat, 2e-6}, {at::kBFloat16, 3e-2}}) {
    Inputs in = random_inputs(7, 6, 3, type);
    Inputs exact = in;
    for (at::Tensor* x : exact.all()) *x = x->to(at::kDouble);
    for (const AttentionSpec& spec : grid_of_specs()) {
      const at::Tensor y = run_fast(in, spec);
      EXPECT_EQ(y.scalar_type(), type);
      EXPECT_LE(largest_difference(y, run_reference(exact, spec)), tolerance) << to_string(spec);
    }
  }
}

/// A feature map of the keys that a ring can be asked to apply later: |x W| with W [D,F] fixed.
at::Tensor mapped(const at::Tensor& x) {
  Rng rng(8, "test.key_features");
  return at::matmul(x, randn(rng, {4, 6}).to(x.scalar_type())).abs();
}

TEST(AttentionForms, FeaturesMadeOnLeavingEqualTheChunkedForm) {
  for (const auto& [slices, hw] : kSizes) {
    Inputs in = random_inputs(slices, hw, 9);
    const at::Tensor before_rope = in.k.flip(3) * 0.5;  // stands for keys of which the ring's cannot be made
    for (const bool own_input : {false, true}) {
      in.phi_k = mapped(own_input ? before_rope : in.k);
      for (const AttentionSpec& spec : grid_of_specs()) {
        if (!spec.recurrent()) continue;
        RecurrentState state(spec, hw);
        std::vector<at::Tensor> outputs;
        for (const Chunk& chunk : chunks_of(slices, spec.tc, spec.to)) {
          const auto rows = [&, &hw = hw](const at::Tensor& x) {
            return x.narrow(2, chunk.queries.begin * hw, chunk.queries.size() * hw);
          };
          const KeyFeatures features{mapped, own_input ? rows(before_rope) : at::Tensor()};
          outputs.push_back(state.step(rows(in.q), rows(in.k), rows(in.v), rows(in.phi_q), features));
        }
        EXPECT_LE(largest_difference(at::cat(outputs, 2), run_fast(in, spec)), 1e-12)
            << to_string(spec) << " T=" << slices << (own_input ? " own input" : "");
      }
    }
  }
}

TEST(AttentionForms, StateAndRingKeepTheirSizes) {
  constexpr std::int64_t hw = 4, tokens = 2 * 2 * 3 * hw;  // batch, heads, overlap
  const AttentionSpec spec{AttentionKind::rehyat, 2, 3, true, 2, Normalizer::joint};
  for (const auto type : {at::kFloat, at::kBFloat16, at::kDouble}) {
    const auto size = static_cast<std::int64_t>(at::elementSize(type));
    for (const bool own_input : {false, true}) {
      RecurrentState state(spec, hw);
      for (int chunk = 0; chunk < 40; ++chunk) {
        const Inputs in = random_inputs(2, hw, static_cast<std::uint64_t>(chunk), type);
        state.step(in.q, in.k, in.v, in.phi_q, {mapped, own_input ? in.k : at::Tensor()});
        if (chunk == 0) continue;  // the ring is not full yet
        EXPECT_EQ(state.state_bytes(), 2 * 2 * 6 * (4 + 1) * (type == at::kDouble ? 8 : 4));
        // K and V alone, of the last `to` slices: features would need 6 numbers a token more.
        EXPECT_EQ(state.ring_bytes(), tokens * 4 * (own_input ? 3 : 2) * size) << "chunk " << chunk;
      }
      EXPECT_EQ(state.slices_seen(), 80);
      state.reset();
      EXPECT_EQ(state.ring_bytes() + state.state_bytes(), 0);
    }
  }
}

/// Projections leave v token by token and not head by head; the ring takes either.
TEST(AttentionForms, TheRingTakesChunksAsTheyLie) {
  const AttentionSpec spec{AttentionKind::rehyat, 2, 3, true, 2, Normalizer::joint};
  Inputs in = random_inputs(7, 3, 10);
  const at::Tensor expected = run_by_chunks(in, spec);
  const auto token_major = [](const at::Tensor& x) { return x.transpose(1, 2).contiguous().transpose(1, 2); };
  in.v = token_major(in.v);
  EXPECT_TRUE(at::equal(run_by_chunks(in, spec), expected));
  in.k = token_major(in.k);
  EXPECT_TRUE(at::equal(run_by_chunks(in, spec), expected));
}

/// A sum that runs on never meets what no chunk sees by phi: the last window.
TEST(AttentionForms, TheRecurrentFormDoesNotLookAtFeaturesOfTheLastWindow) {
  const AttentionSpec spec{AttentionKind::rehyat, 3, 1, true, 2, Normalizer::joint};
  Inputs in = random_inputs(7, 3, 11);
  const at::Tensor expected = run_recurrent(in, spec);
  in.phi_k.narrow(2, 5 * 3, 2 * 3).fill_(std::nan(""));
  EXPECT_TRUE(at::equal(run_recurrent(in, spec), expected));
}

TEST(AttentionForms, LookingDoesNotChangeTheState) {
  const AttentionSpec spec{AttentionKind::rehyat, 2, 1, true, 2, Normalizer::joint};
  const Inputs in = random_inputs(2, 3, 5);
  RecurrentState state(spec, 3);
  state.step(in.q, in.k, in.v, in.phi_q, {mapped, {}});
  const at::Tensor first = state.step(in.q, in.k, in.v, in.phi_q, {mapped, {}}, false);
  const at::Tensor second = state.step(in.q, in.k, in.v, in.phi_q, {mapped, {}}, false);
  EXPECT_TRUE(at::equal(first, second));
  EXPECT_EQ(state.slices_seen(), 2);
}

}  // namespace
}  // namespace rehyat::ops
