#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "ops/row_max_case.h"

namespace rehyat::ops {
namespace {

class GpuRowMax : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!torch::cuda::is_available())
      GTEST_SKIP() << "no GPU: libtorch " << (at::hasCUDA() ? "finds none here" : "is built for CPUs only");
  }
};

enum class Layout { heads_outside, tokens_outside, wide_rows, odd_rows };

/// [B,A,N,D] as a model passes it (a view of [B,N,A,D]), dense, as a part of wider rows, and in rows that do not begin
/// at multiples of 16 bytes.
at::Tensor laid_out(const at::Tensor& x, Layout layout) {
  const auto wider = [&](std::int64_t more) {
    const at::Tensor wide = at::zeros({x.size(0), x.size(1), x.size(2), x.size(3) + more}, x.options());
    return wide.narrow(3, 0, x.size(3)).copy_(x);
  };
  switch (layout) {
    case Layout::heads_outside:
      return x.contiguous();
    case Layout::tokens_outside:
      return x.transpose(1, 2).contiguous().transpose(1, 2);
    case Layout::wide_rows:
      return wider(8);
    case Layout::odd_rows:
      return wider(3);
  }
  return x;
}

TEST_F(GpuRowMax, EqualsTheMaximumOfAllScores) {
  for (const auto type : {at::kBFloat16, at::kHalf, at::kFloat}) {
    for (const std::int64_t width : {8, 40, 64, 72, 128}) {
      Rng rng(64, "test.row_max");
      const at::Tensor q = randn(rng, {2, 3, 7 * 43, width}).to(at::kCUDA).to(type);
      const at::Tensor k = randn(rng, {2, 3, 7 * 43, width}).to(at::kCUDA).to(type);
      for (const Layout layout : {Layout::heads_outside, Layout::tokens_outside, Layout::wide_rows, Layout::odd_rows}) {
        for (const auto& batches : row_max_rectangles(7, 43)) {
          EXPECT_LE(row_max_error(laid_out(q, layout), laid_out(k, layout), batches), 1e-6)
              << at::toString(type) << " D=" << width << " layout " << static_cast<int>(layout);
        }
      }
    }
  }
}

TEST_F(GpuRowMax, NegativeScoresAndSingleRows) {
  Rng rng(65, "test.row_max");
  for (const std::int64_t rows : {1, 15, 257}) {
    for (const std::int64_t keys : {1, 63, 65, 129}) {
      const at::Tensor q = rand(rng, {1, 2, rows, 64}).to(at::kCUDA).to(at::kBFloat16) + 0.1;
      const at::Tensor k = -rand(rng, {1, 2, keys, 64}).to(at::kCUDA).to(at::kBFloat16) - 0.1;
      EXPECT_LE(row_max_error(q, k, {{0, rows, 0, 0, keys, 0, 1}}), 1e-6) << rows << " x " << keys;
      EXPECT_LT(row_maxima(q, k).max().item<double>(), 0);
    }
  }
}

TEST_F(GpuRowMax, MoreRectanglesThanOneLaunchTakes) {
  Rng rng(66, "test.row_max");
  const at::Tensor q = randn(rng, {1, 2, 55, 64}).to(at::kCUDA).to(at::kHalf);
  const at::Tensor k = randn(rng, {1, 2, 55, 64}).to(at::kCUDA).to(at::kHalf);
  std::vector<RectangleBatch> batches;
  for (std::int64_t i = 0; i < 10; ++i) batches.push_back({i * (i + 1) / 2, i + 1, 0, i, 30 + i, 0, 1});
  EXPECT_LE(row_max_error(q, k, batches), 1e-6);
}

}  // namespace
}  // namespace rehyat::ops
