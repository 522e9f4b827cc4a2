#include "ops/row_ops.h"

#include <gtest/gtest.h>

#include <cmath>

#include "ops/row_case.h"

namespace rehyat::ops {
namespace {

using testing::RowCase;

double largest(const at::Tensor& x) {
  return x.abs().max().item<double>();
}

TEST(RowOps, ModulatedNormIsItsFormula) {
  const RowCase in(at::kDouble);
  const at::Tensor mean = in.x.mean(-1, true), variance = (in.x - mean).square().mean(-1, true);
  const at::Tensor expected = (in.x - mean) / (variance + RowCase::kEps).sqrt() * (1 + in.scale) + in.shift;
  const NormedStream found = norm_stream(in.x, in.modulated(at::kDouble));
  EXPECT_LT(largest(found.normed - expected), 1e-12);
  EXPECT_TRUE(at::equal(found.stream, in.x));
  EXPECT_EQ(norm_stream(in.x, in.modulated(at::kBFloat16)).normed.scalar_type(), at::kBFloat16);
}

TEST(RowOps, WeightedNormIsItsFormula) {
  const RowCase in(at::kDouble);
  const at::Tensor mean = in.x.mean(-1, true), variance = (in.x - mean).square().mean(-1, true);
  const at::Tensor expected = (in.x - mean) / (variance + RowCase::kEps).sqrt() * in.weight + in.bias;
  EXPECT_LT(largest(norm_stream(in.x, in.weighted(at::kDouble)).normed - expected), 1e-12);
}

TEST(RowOps, NormBehindASumIsOneAfterTheOther) {
  const RowCase in(at::kDouble);
  for (const bool gated : {true, false}) {
    const at::Tensor gate = gated ? in.scale : at::Tensor();
    const NormedStream found = add_and_norm(in.x, in.update, gate, in.weighted(at::kDouble));
    const at::Tensor y = in.x + (gated ? in.update * gate : in.update);
    EXPECT_LT(largest(found.stream - y), 1e-15);
    EXPECT_LT(largest(found.normed - norm_stream(y, in.weighted(at::kDouble)).normed), 1e-12);
  }
}

TEST(RowOps, GatedSumIsItsFormulaInTheTypeOfTheStream) {
  const RowCase in(at::kDouble);
  EXPECT_LT(largest(gated_sum(in.x, in.update, in.scale) - (in.x + in.update * in.scale)), 1e-15);
  const at::Tensor narrow = in.update.to(at::kBFloat16);
  const at::Tensor found = gated_sum(in.x, narrow, in.scale);
  EXPECT_EQ(found.scalar_type(), at::kDouble);
  EXPECT_LT(largest(found - (in.x + narrow.to(at::kDouble) * in.scale)), 1e-15);
}

TEST(RowOps, NormOfHeadsIsItsFormulaWithAndWithoutRotation) {
  const RowCase in(at::kDouble);
  const at::Tensor normed = in.x / (in.x.square().mean(-1, true) + RowCase::kEps).sqrt() * in.weight;
  const at::Tensor heads = normed.unflatten(-1, {RowCase::kHeads, -1}).transpose(1, 2);
  const RopeTables rope = in.rope(at::kDouble);
  EXPECT_LT(largest(rms_norm_heads(in.x, in.weight, RowCase::kEps, RowCase::kHeads, nullptr) - heads), 1e-12);
  EXPECT_LT(largest(rms_norm_heads(in.x, in.weight, RowCase::kEps, RowCase::kHeads, &rope) - apply_rope(heads, rope)),
            1e-12);
  const HeadsTwice twice = rms_norm_heads_twice(in.x, in.weight, RowCase::kEps, RowCase::kHeads, &rope);
  EXPECT_LT(largest(twice.first - apply_rope(heads, rope)), 1e-12);
  EXPECT_TRUE(at::equal(twice.first, twice.second));
}

TEST(RowOps, GradientsFlow) {
  RowCase in(at::kDouble);
  for (at::Tensor* x : {&in.x, &in.scale, &in.shift, &in.update, &in.weight}) x->requires_grad_(true);
  const RopeTables rope = in.rope(at::kDouble);
  const at::Tensor y = norm_stream(in.x, in.modulated(at::kDouble)).normed;
  const at::Tensor z =
      rms_norm_heads(gated_sum(y, in.update, in.scale), in.weight, RowCase::kEps, RowCase::kHeads, &rope);
  z.sum().backward();
  for (const at::Tensor* x : {&in.x, &in.scale, &in.shift, &in.update, &in.weight}) {
    ASSERT_TRUE(x->grad().defined());
    EXPECT_GT(largest(x->grad()), 0);
  }
}

}  // namespace
}  // namespace rehyat::ops
