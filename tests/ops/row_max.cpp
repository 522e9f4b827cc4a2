#include <gtest/gtest.h>

#include "ops/row_max_case.h"

namespace rehyat::ops {
namespace {

TEST(RowMax, EqualsTheMaximumOfAllScores) {
  for (const auto type : {at::kDouble, at::kFloat, at::kBFloat16}) {
    Rng rng(61, "test.row_max");
    const at::Tensor q = randn(rng, {2, 3, 35, 24}).to(type), k = randn(rng, {2, 3, 35, 24}).to(type);
    for (const auto& batches : row_max_rectangles(7, 5))
      EXPECT_LE(row_max_error(q, k, batches), type == at::kDouble ? 1e-15 : 1e-6) << at::toString(type);
  }
}

TEST(RowMax, MoreKeysThanOneBlockOfThem) {
  Rng rng(62, "test.row_max");
  const at::Tensor q = randn(rng, {1, 1, 3, 4}), k = randn(rng, {1, 1, 9001, 4});
  EXPECT_LE(row_max_error(q, k, {{0, 3, 0, 0, 9001, 0, 1}}), 1e-6);
  EXPECT_TRUE(at::equal(row_maxima(q, k), row_maxima(q, k, {{0, 3, 0, 0, 9001, 0, 1}})));
}

TEST(RowMax, ANumberThatIsNotOneIsKept) {
  Rng rng(63, "test.row_max");
  const at::Tensor q = randn(rng, {1, 1, 3, 4}), k = randn(rng, {1, 1, 5, 4});
  q.select(2, 1).select(2, 0).fill_(std::nan(""));
  EXPECT_TRUE(std::isnan(row_maxima(q, k).flatten()[1].item<double>()));
}

}  // namespace
}  // namespace rehyat::ops
