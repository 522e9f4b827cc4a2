#include "ops/rope.h"

#include <gtest/gtest.h>

#include <cmath>

#include "core/error.h"
#include "tensor/random.h"

namespace rehyat::ops {
namespace {

TEST(Rope, TablesOfAGridAreMadeOnceAndKeptInBoundedNumber) {
  RopeCache cache;
  const auto get = [&](std::int64_t first, at::ScalarType type = at::kFloat) {
    return cache.get(24, {2, 2, 3}, type, at::kCPU, first);
  };
  const RopeTables first = get(0), again = get(0);
  EXPECT_EQ(first.cos.data_ptr(), again.cos.data_ptr());
  EXPECT_EQ(get(0, at::kDouble).cos.scalar_type(), at::kDouble);
  EXPECT_TRUE(at::equal(get(5).sin, rope_tables(24, {2, 2, 3}, at::kFloat, at::kCPU, 5).sin));
  EXPECT_EQ(first.cos.data_ptr(), get(0).cos.data_ptr());
  for (std::int64_t i = 10; i < 10 + static_cast<std::int64_t>(RopeCache::kEntries); ++i) get(i);
  EXPECT_EQ(first.cos.use_count(), 2);  // `first` and `again`: the cache has let go of them
}

TEST(Rope, RotatesEveryPairByItsAxis) {
  const std::int64_t width = 24;  // h = w = 8, t = 8
  const auto tables = rope_tables(width, {3, 2, 5}, at::kDouble, at::kCPU);
  Rng rng(1, "test.rope");
  const at::Tensor x = randn(rng, {1, 1, 30, width}).to(at::kDouble);
  const at::Tensor y = apply_rope(x, tables);
  for (int t = 0; t < 3; ++t) {
    for (int h = 0; h < 2; ++h) {
      for (int w = 0; w < 5; ++w) {
        for (int pair = 0; pair < width / 2; ++pair) {
          const int axis = pair / 4, index = pair % 4;
          const double position = axis == 0 ? t : axis == 1 ? h : w;
          const double angle = position * std::pow(1e4, -2.0 * index / 8);
          const auto row = x[0][0][(t * 2 + h) * 5 + w], out = y[0][0][(t * 2 + h) * 5 + w];
          const double a = row[2 * pair].item<double>(), b = row[2 * pair + 1].item<double>();
          EXPECT_NEAR(out[2 * pair].item<double>(), a * std::cos(angle) - b * std::sin(angle), 1e-12);
          EXPECT_NEAR(out[2 * pair + 1].item<double>(), a * std::sin(angle) + b * std::cos(angle), 1e-12);
        }
      }
    }
  }
}

TEST(Rope, AxisWidthsOfWan) {
  const auto tables = rope_tables(128, {2, 1, 1}, at::kDouble, at::kCPU);  // t has 44 of 128
  EXPECT_NE(tables.sin[1][21].item<double>(), 0);
  EXPECT_EQ(tables.sin[1][22].item<double>(), 0);
}

TEST(Rope, FirstSliceShiftsTime) {
  const auto whole = rope_tables(16, {6, 2, 2}, at::kFloat, at::kCPU);
  const auto part = rope_tables(16, {2, 2, 2}, at::kFloat, at::kCPU, 4);
  EXPECT_TRUE(at::equal(whole.cos.narrow(0, 16, 8), part.cos));
}

TEST(Rope, RefusesLongAxes) {
  EXPECT_THROW(rope_tables(16, {1025, 1, 1}, at::kFloat, at::kCPU), UserError);
  EXPECT_THROW(rope_tables(5, {1, 1, 1}, at::kFloat, at::kCPU), UserError);
}

}  // namespace
}  // namespace rehyat::ops
