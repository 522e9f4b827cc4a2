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
  const at::Tensor found = modulated_layer_norm(in.x, in.scale, in.shift, RowCase::kEps, at::kDouble);
  EXPECT_LT(largest(found - expected), 1e-12);
  EXPECT_EQ(modulated_layer_norm(in.x, in.scale, in.shift, RowCase::kEps, at::kBFloat16).scalar_type(), at::kBFloat16);
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
}

TEST(RowOps, GradientsFlow) {
  RowCase in(at::kDouble);
  for (at::Tensor* x : {&in.x, &in.scale, &in.shift, &in.update, &in.weight}) x->requires_grad_(true);
  const RopeTables rope = in.rope(at::kDouble);
  const at::Tensor y = modulated_layer_norm(in.x, in.scale, in.shift, RowCase::kEps, at::kDouble);
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
