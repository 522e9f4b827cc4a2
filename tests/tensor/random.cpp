#include "tensor/random.h"

#include <gtest/gtest.h>

namespace rehyat {
namespace {

TEST(TensorRandom, IsTheStreamsValuesInTheShapeAskedFor) {
  Rng values(3, "test.tensor");
  std::vector<float> normal(24), uniform(5);
  values.fill_normal(normal);
  values.fill_uniform(uniform);
  Rng rng(3, "test.tensor");
  const at::Tensor first = randn(rng, {2, 3, 4}), second = rand(rng, {5});
  EXPECT_EQ(first.scalar_type(), at::kFloat);
  EXPECT_TRUE(at::equal(first, at::tensor(normal).view({2, 3, 4})));
  EXPECT_TRUE(at::equal(second, at::tensor(uniform)));
  EXPECT_EQ(rng.position(), values.position());
  EXPECT_EQ(randn(rng, {0, 3}).numel(), 0);
  EXPECT_EQ(randn(rng, {}).dim(), 0);
}

}  // namespace
}  // namespace rehyat
