#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "ops/channel_ops.h"
#include "tensor/random.h"

/// The kernels over the channels of a pixel against the composed form on the CPU in float64, on the same (rounded)
/// inputs.
namespace rehyat::ops {
namespace {

class GpuChannels : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
  }
};

at::Tensor exact_channels(const at::Tensor& x) {
  return x.to(at::kCPU, at::kDouble);
}

void expect_channels(const at::Tensor& found, const at::Tensor& exact, const char* what) {
  const auto type = found.scalar_type();
  const double tolerance = type == at::kFloat ? 2e-6 : type == at::kHalf ? 1e-3 : 8e-3;
  EXPECT_TRUE(found.is_cuda());
  EXPECT_LE(((exact_channels(found) - exact).abs() / (1 + exact.abs())).max().item<double>(), tolerance)
      << what << ' ' << at::toString(type) << ' ' << exact.size(1) << " channels";
}

/// [2,C,3,H,W] with channels last, the frames a part of a longer video.
at::Tensor part_of_video(Rng& rng, std::int64_t channels, at::ScalarType type) {
  return randn(rng, {2, channels, 5, 4, 7}, at::kCUDA)
      .to(type)
      .contiguous(at::MemoryFormat::ChannelsLast3d)
      .narrow(2, 1, 3);
}

TEST_F(GpuChannels, EqualTheComposedForm) {
  Rng rng(5, "test.channels");
  for (const at::ScalarType type : {at::kBFloat16, at::kHalf, at::kFloat}) {
    for (const std::int64_t channels : {16, 96, 192, 384}) {
      const at::Tensor x = part_of_video(rng, channels, type), update = part_of_video(rng, channels, type);
      const at::Tensor bias = randn(rng, {channels}, at::kCUDA).to(type);
      const at::Tensor gamma = randn(rng, {channels, 1, 1, 1}, at::kCUDA);
      ASSERT_TRUE(has_fused_channels(x));
      for (const at::Tensor& b : {at::Tensor(), bias}) {
        const at::Tensor exact_bias = b.defined() ? exact_channels(b) : b;
        for (const bool silu : {false, true}) {
          const at::Tensor room =
              at::zeros({2, channels, 5, 4, 7}, x.options()).contiguous(at::MemoryFormat::ChannelsLast3d);
          channel_norm(x, b, gamma, silu, room.narrow(2, 2, 3));
          const at::Tensor exact = at::empty(x.sizes(), at::kDouble);
          channel_norm(exact_channels(x), exact_bias, exact_channels(gamma), silu, exact);
          expect_channels(room.narrow(2, 2, 3), exact, "norm");
          EXPECT_EQ(room.narrow(2, 0, 2).abs().max().item<double>(), 0);
          const at::Tensor stack = at::full({2, 3, 4, 7, 3, channels}, 7, x.options());
          const at::Tensor exact_stack = at::full(stack.sizes(), 7, at::kDouble);
          stacked_channel_norm(x, b, gamma, silu, stack);
          stacked_channel_norm(exact_channels(x), exact_bias, exact_channels(gamma), silu, exact_stack);
          expect_channels(stack, exact_stack, "stacked norm");
        }
        const at::Tensor exact_sum = biased_sum(exact_channels(x), exact_channels(update), exact_bias);
        expect_channels(biased_sum(x, update.clone(), b), exact_sum, "sum");
        for (const std::int64_t k : {1, 2}) {
          const at::Tensor doubled = doubled_frames(x, b, k);
          expect_channels(doubled, doubled_frames(exact_channels(x), exact_bias, k), "doubled frames");
          EXPECT_TRUE(doubled.is_contiguous(at::MemoryFormat::ChannelsLast3d));
        }
      }
    }
  }
}

TEST_F(GpuChannels, OtherLayoutsAreComposed) {
  Rng rng(6, "test.channels");
  const at::Tensor gamma = at::ones({12}, at::kCUDA);
  const at::Tensor first = randn(rng, {1, 12, 2, 3, 4}, at::kCUDA), odd = first.to(at::kBFloat16);
  for (const at::Tensor& x : {first, odd.contiguous(at::MemoryFormat::ChannelsLast3d), first.to(at::kDouble)}) {
    EXPECT_FALSE(has_fused_channels(x));
    const at::Tensor y = at::empty_like(x), exact = at::empty(x.sizes(), at::kDouble);
    channel_norm(x, {}, gamma, true, y);
    channel_norm(exact_channels(x), {}, exact_channels(gamma), true, exact);
    expect_channels(y, exact, "norm");
  }
}

}  // namespace
}  // namespace rehyat::ops
