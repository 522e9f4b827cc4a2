#include <gtest/gtest.h>

#include "core/error.h"
#include "ops/attention_case.h"

namespace rehyat::ops {
namespace {

void expect_refused(const std::function<void()>& call, const std::string& part) {
  try {
    call();
    FAIL() << "nothing was refused, expected: " << part;
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

const AttentionSpec kSpec{AttentionKind::rehyat, 2, 1, true, 2, Normalizer::joint};

TEST(AttentionErrors, ShapesTypesAndSlices) {
  Inputs in = random_inputs(6, 2, 21);
  expect_refused(
      [&] {
        Inputs bad = in;
        bad.k = in.k.narrow(2, 0, 4);
        run_fast(bad, kSpec);
      },
      "[hybrid_attention] k: found Double [2, 2, 4, 4]");
  expect_refused(
      [&] {
        Inputs bad = in;
        bad.phi_k = in.phi_k.narrow(3, 0, 5);
        run_fast(bad, kSpec);
      },
      "phi_k: found feature width 5, expected 6");
  expect_refused(
      [&] {
        Inputs bad = in;
        bad.v = in.v.to(at::kFloat);
        run_fast(bad, kSpec);
      },
      "v: found Float");
  expect_refused(
      [&] {
        Inputs bad = in;
        bad.slices = 5;
        run_fast(bad, kSpec);
      },
      "slices: found 5, expected a divisor of N = 12");
  expect_refused(
      [&] {
        Inputs bad = in;
        bad.phi_q = at::Tensor();
        run_fast(bad, kSpec);
      },
      "phi_q: found nothing");
  expect_refused(
      [&] {
        AttentionSpec bad = kSpec;
        bad.tc = 0;
        run_fast(in, bad);
      },
      "tc: found 0");
}

TEST(AttentionErrors, NegativeAndVanishingNormalisers) {
  Inputs in = random_inputs(6, 2, 22);
  in.phi_q = -in.phi_q;
  expect_refused([&] { run_fast(in, kSpec); }, "below 0");
  expect_refused([&] { run_reference(in, kSpec); }, "below 0");
  in.phi_q.zero_();
  AttentionSpec linear = kSpec;
  linear.kind = AttentionKind::linear;
  expect_refused([&] { run_fast(in, linear); }, "equal to 0");
}

TEST(AttentionErrors, DenominatorsOfZero) {
  Inputs in = random_inputs(3, 1, 25);
  // One softmax key a query, so that e^{lse-c} is 1, and n = -1 from the one linear key of the second chunk.
  in.phi_q.zero_().select(3, 0).fill_(-1);
  in.phi_k.zero_().select(3, 0).fill_(1);
  for (const Normalizer normalizer : {Normalizer::row_max, Normalizer::lse}) {
    const AttentionSpec spec{AttentionKind::rehyat, 1, 0, true, 2, normalizer};
    const std::string name = normalizer == Normalizer::lse ? "1 + phi_q.z" : "the denominator";
    // How many of the four come out as exactly 0 depends on the processor's exp.
    expect_refused([&] { run_fast(in, spec); }, name + ": found ");
    expect_refused([&] { run_fast(in, spec); }, " rows equal to 0");
    expect_refused([&] { run_recurrent(in, spec); }, name + ": found ");
    expect_refused([&] { run_by_chunks(in, spec); }, name + ": found ");
    expect_refused([&] { run_recurrent(in, spec); }, " rows equal to 0");
    expect_refused([&] { run_by_chunks(in, spec); }, " rows equal to 0");
    expect_refused([&] { run_reference(in, spec); }, "the denominator: found rows equal to 0");
  }
}

TEST(AttentionErrors, RecurrentFormIsRefusedWhereThereIsNone) {
  AttentionSpec other = kSpec;
  other.causal = false;
  expect_refused([&] { RecurrentState(other, 4); }, "causal rehyat");
  expect_refused([&] { run_recurrent(random_inputs(3, 2, 22), other); }, "causal rehyat");
  const Inputs in = random_inputs(3, 2, 23);
  RecurrentState state(kSpec, 2);
  const KeyFeatures given{[](const at::Tensor& x) { return x; }, in.phi_k};
  expect_refused([&] { state.step(in.q, in.k, in.v, in.phi_q, given); }, "expected 1 to 2 slices");
  const auto step = [&state](const Inputs& chunk, const KeyFeatures& features) {
    state.step(chunk.q, chunk.k, chunk.v, chunk.phi_q, features);
  };
  const Inputs chunk = random_inputs(2, 2, 24);
  expect_refused(
      [&] {
        step(chunk, {[](const at::Tensor& x) { return x; }, {}});
      },
      "phi_k: found feature width 4, expected 6");
  step(chunk, {[](const at::Tensor& x) { return x; }, chunk.phi_k});
  expect_refused(
      [&] {
        step(chunk, {[](const at::Tensor& x) { return x; }, chunk.phi_k.narrow(2, 0, 2)});
      },
      "expected it with every chunk of a video or with none");
}

}  // namespace
}  // namespace rehyat::ops
