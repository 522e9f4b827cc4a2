#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "ops/gpu_step.h"
#include "ops/linear.h"

namespace rehyat::ops {
namespace {

using testing::drawn;
using testing::expect_step;
using testing::Step;
using testing::Tensors;

class GpuFeedForward : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
  }
};

/// x, the weight and bias of both products.
Tensors feed_forward_inputs(std::int64_t tokens, std::int64_t width, std::int64_t inner, at::ScalarType type) {
  Rng rng(73, "test.gpu_feed_forward");
  return {drawn(rng, {2, tokens, width}, type), drawn(rng, {inner, width}, type, 0.2), drawn(rng, {inner}, type, 0.5),
          drawn(rng, {width, inner}, type, 0.1), drawn(rng, {width}, type)};
}

const Step kFeedForward = [](const Tensors& t) -> Tensors { return {feed_forward(t[0], {t[1], t[2]}, {t[3], t[4]})}; };

TEST_F(GpuFeedForward, AndItsGradients) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf}) {
    for (const std::int64_t inner : {8, 96, 100, 1120}) {  // 100 is composed
      const Tensors in = feed_forward_inputs(37, 48, inner, type);
      expect_step(kFeedForward, in, std::vector<bool>(5, true), type, cat("inner width ", inner));
    }
  }
  const Tensors in = feed_forward_inputs(1, 16, 40, at::kBFloat16);
  for (std::size_t which = 0; which < 5; ++which) {
    std::vector<bool> wants(5, false);
    wants[which] = true;
    expect_step(kFeedForward, in, wants, at::kBFloat16, cat("input ", which));
  }
}

TEST_F(GpuFeedForward, WithoutGradientsIsGeluInItsTanhForm) {
  const at::NoGradGuard no_grad;
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kHalf})
    expect_step(kFeedForward, feed_forward_inputs(37, 48, 96, type), std::vector<bool>(5, false), type, "no gradients");
}

}  // namespace
}  // namespace rehyat::ops
