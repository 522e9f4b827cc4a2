#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "ops/row_case.h"
#include "ops/row_ops.h"

/// The kernels of the row-wise steps against the composed form on the CPU in float64, on the same (rounded) inputs.
namespace rehyat::ops {
namespace {

using testing::RowCase;

class GpuRows : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
  }
};

/// Of `found`, which was rounded to its own type once at the end.
void expect_near(const at::Tensor& found, const at::Tensor& exact, const char* what) {
  const auto type = found.scalar_type();
  const double tolerance = type == at::kFloat ? 2e-6 : type == at::kHalf ? 1e-3 : 8e-3;
  const at::Tensor wide = found.to(at::kCPU, at::kDouble);
  EXPECT_TRUE(found.is_cuda());
  EXPECT_LE(((wide - exact).abs().max() / exact.abs().max()).item<double>(), tolerance)
      << what << ' ' << at::toString(type);
}

at::Tensor exactly(const at::Tensor& x) {
  return x.to(at::kCPU, at::kDouble);
}

TEST_F(GpuRows, EqualTheComposedForm) {
  const at::NoGradGuard no_grad;
  const RowCase in(at::kFloat, at::kCUDA);
  const RopeTables rope = in.rope(at::kFloat), exact_rope = {exactly(rope.cos), exactly(rope.sin)};
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    expect_near(modulated_layer_norm(in.x, in.scale, in.shift, RowCase::kEps, type),
                modulated_layer_norm(exactly(in.x), exactly(in.scale), exactly(in.shift), RowCase::kEps, at::kDouble),
                "modulated norm");
    const at::Tensor update = in.update.to(type), x = in.x.to(type);
    expect_near(gated_sum(in.x, update, in.scale), gated_sum(exactly(in.x), exactly(update), exactly(in.scale)),
                "gated sum");
    for (const bool turned : {false, true}) {
      expect_near(rms_norm_heads(x, in.weight, RowCase::kEps, RowCase::kHeads, turned ? &rope : nullptr),
                  rms_norm_heads(exactly(x), exactly(in.weight), RowCase::kEps, RowCase::kHeads,
                                 turned ? &exact_rope : nullptr),
                  "norm of heads");
    }
  }
}

TEST_F(GpuRows, OfOneModulationForAllSamples) {
  const at::NoGradGuard no_grad;
  const RowCase in(at::kFloat, at::kCUDA);
  const at::Tensor scale = in.scale.narrow(0, 1, 1), shift = in.shift.narrow(0, 1, 1);
  expect_near(modulated_layer_norm(in.x, scale, shift, RowCase::kEps, at::kFloat),
              modulated_layer_norm(exactly(in.x), exactly(scale), exactly(shift), RowCase::kEps, at::kDouble), "norm");
}

TEST_F(GpuRows, GradientsTakeTheComposedForm) {
  RowCase in(at::kFloat, at::kCUDA);
  in.x.requires_grad_(true);
  modulated_layer_norm(in.x, in.scale, in.shift, RowCase::kEps, at::kFloat).sum().backward();
  EXPECT_TRUE(in.x.grad().defined());
}

}  // namespace
}  // namespace rehyat::ops
