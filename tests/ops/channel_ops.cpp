#include "ops/channel_ops.h"

#include <gtest/gtest.h>

#include <cmath>

#include "tensor/random.h"

/// The composed forms against their formulas, one pixel at a time in float64.
namespace rehyat::ops {
namespace {

struct ChannelCase {
  static constexpr std::int64_t kBatch = 2, kChannels = 6, kFrames = 3, kHeight = 2, kWidth = 5;
  at::Tensor x, update, bias, gamma;

  explicit ChannelCase(at::ScalarType type = at::kDouble) {
    Rng rng(4, "test.channels");
    const auto draw = [&](at::IntArrayRef shape) { return randn(rng, shape).to(type); };
    x = draw({kBatch, kChannels, kFrames, kHeight, kWidth});
    update = draw(x.sizes());
    bias = draw({kChannels});
    gamma = draw({kChannels, 1, 1, 1});
  }
};

double one_norm(const ChannelCase& in, bool with_bias, bool silu, at::IntArrayRef place) {
  const auto value = [&](std::int64_t c) {
    const double b = with_bias ? in.bias[c].item<double>() : 0;
    return in.x[place[0]][c][place[2]][place[3]][place[4]].item<double>() + b;
  };
  double squares = 0;
  for (std::int64_t c = 0; c < ChannelCase::kChannels; ++c) squares += value(c) * value(c);
  const double n = value(place[1]) / std::max(std::sqrt(squares), 1e-12) *
                   std::sqrt(static_cast<double>(ChannelCase::kChannels)) * in.gamma[place[1]].item<double>();
  return silu ? n / (1 + std::exp(-n)) : n;
}

TEST(ChannelOps, NormIsItsFormula) {
  const ChannelCase in;
  for (const bool with_bias : {false, true}) {
    for (const bool silu : {false, true}) {
      // A part of a larger tensor, of which nothing else is touched.
      const at::Tensor whole = at::full({2, 6, 5, 2, 5}, 7.0, at::kDouble);
      const at::Tensor y = whole.narrow(2, 2, 3);
      channel_norm(in.x, with_bias ? in.bias : at::Tensor(), in.gamma, silu, y);
      for (std::int64_t c = 0; c < 6; ++c) {
        const std::int64_t place[] = {c % 2, c, c % 3, c / 3, 4 - c % 5};
        EXPECT_NEAR(y[place[0]][c][place[2]][place[3]][place[4]].item<double>(), one_norm(in, with_bias, silu, place),
                    1e-12);
      }
      EXPECT_TRUE((whole.narrow(2, 0, 2) == 7).all().item<bool>());
    }
  }
}

TEST(ChannelOps, AStackHoldsEachFrameBehindTheOnesBefore) {
  const ChannelCase in;
  const at::Tensor y = at::empty_like(in.x);
  channel_norm(in.x, in.bias, in.gamma, true, y);
  for (const std::int64_t frames : {1, 3}) {
    const at::Tensor stack = at::full({2, frames, 2, 5, 3, 6}, 7.0, at::kDouble);
    stacked_channel_norm(in.x.narrow(2, 0, frames), in.bias, in.gamma, true, stack);
    for (std::int64_t t = 0; t < frames; ++t) {
      for (std::int64_t part = 0; part < 3; ++part) {
        const at::Tensor found = stack.select(1, t).select(3, part);
        const std::int64_t from = t - 2 + part;
        const at::Tensor expected =
            from < 0 ? at::full_like(found, 7.0) : y.select(2, from).permute({0, 2, 3, 1}).contiguous();
        EXPECT_TRUE(at::equal(found, expected)) << t << ' ' << part;
      }
    }
  }
}

TEST(ChannelOps, ZerosStayZeros) {
  const at::Tensor x = at::zeros({1, 4, 1, 2, 2}), y = at::ones_like(x);
  channel_norm(x, {}, at::ones({4}), true, y);
  EXPECT_EQ(y.abs().max().item<double>(), 0);
}

TEST(ChannelOps, SumAddsOnceAndOverwritesTheUpdate) {
  for (const at::ScalarType type : {at::kDouble, at::kBFloat16}) {
    const ChannelCase in(type);
    const at::Tensor expected =
        (in.x.to(at::kDouble) + in.update.to(at::kDouble) + in.bias.to(at::kDouble).view({-1, 1, 1, 1})).to(type);
    const at::Tensor update = in.update.clone(), found = biased_sum(in.x, update, in.bias);
    EXPECT_TRUE(found.is_same(update));
    EXPECT_LE((found - expected).abs().max().item<double>(), type == at::kDouble ? 1e-14 : 0.04);
    const at::Tensor plain = biased_sum(in.x, in.update.clone(), {});
    EXPECT_TRUE(at::equal(plain, in.x + in.update));
  }
}

TEST(ChannelOps, DoublesPixelsAndDealsChannelsOutToFrames) {
  const ChannelCase in;
  for (const std::int64_t k : {1, 2}) {
    const at::Tensor y = doubled_frames(in.x, in.bias, k);
    ASSERT_EQ(y.sizes().vec(), (std::vector<std::int64_t>{2, 6 / k, 3 * k, 4, 10}));
    for (std::int64_t t = 0; t < 3 * k; ++t) {
      for (std::int64_t c = 0; c < 6 / k; ++c) {
        const std::int64_t from = t % k * (6 / k) + c;
        const at::Tensor frame = in.x.select(2, t / k).select(1, from) + in.bias[from];
        for (std::int64_t h = 0; h < 4; ++h)
          for (std::int64_t w = 0; w < 10; ++w)
            EXPECT_EQ(y[1][c][t][h][w].item<double>(), frame[1][h / 2][w / 2].item<double>());
      }
    }
  }
}

}  // namespace
}  // namespace rehyat::ops
