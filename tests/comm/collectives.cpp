#include <gtest/gtest.h>

#include "comm/mpi_test_main.h"
#include "core/error.h"
#include "core/expect_error.h"
#include "core/rng.h"
#include "core/strings.h"
#include "tensor/io.h"
#include "tensor/random.h"

namespace rehyat {
namespace {

using testing::expect_error;
using testing::world;

/// What rank r holds: known to every rank, so that each can compute the sum itself.
at::Tensor share_of(int rank, at::IntArrayRef shape, at::ScalarType type) {
  Rng rng(7, "test.dist", {static_cast<std::uint64_t>(rank)});
  if (at::isIntegralType(type, false)) return (rand(rng, shape) * 1e6).to(type);
  return randn(rng, shape).to(type);
}

at::Tensor sum_in_rank_order(at::IntArrayRef shape, at::ScalarType type) {
  const bool narrow = type == at::kBFloat16 || type == at::kHalf;
  at::Tensor sum = share_of(0, shape, type);
  if (narrow) sum = sum.to(at::kFloat);
  for (int r = 1; r < world().size(); ++r) sum += share_of(r, shape, type).to(sum.scalar_type());
  return sum.to(type);
}

class AllReduceSum : public ::testing::TestWithParam<at::ScalarType> {};

TEST_P(AllReduceSum, IsTheSumInTheOrderOfTheRanksBitForBit) {
  for (const std::vector<std::int64_t>& shape :
       std::vector<std::vector<std::int64_t>>{{}, {1}, {3}, {7, 11}, {1, 0, 5}, {0}, {1021}, {64, 33}}) {
    at::Tensor mine = share_of(world().rank(), shape, GetParam());
    void* const place = mine.data_ptr();
    world().all_reduce_sum(mine);
    EXPECT_TRUE(at::equal(mine, sum_in_rank_order(shape, GetParam()))) << shape_string(shape);
    EXPECT_EQ(mine.data_ptr(), place);
    EXPECT_EQ(mine.scalar_type(), GetParam());
    for (const std::string& checksum : world().all_gather(rehyat::hash_tensor(mine)))
      EXPECT_EQ(checksum, rehyat::hash_tensor(mine));
  }
}

INSTANTIATE_TEST_SUITE_P(DTypes, AllReduceSum,
                         ::testing::Values(at::kFloat, at::kDouble, at::kBFloat16, at::kHalf, at::kLong, at::kInt),
                         [](const auto& type) { return std::string(at::toString(type.param)); });

TEST(AllReduce, HalfTypesAreAddedInFloat32) {
  // 256 + 1 = 256 in bfloat16: added in that type, the ones would be lost one by one.
  at::Tensor mine = at::full({3}, world().rank() == 0 ? 256.0 : 1.0, at::kBFloat16);
  world().all_reduce_sum(mine);
  const at::Tensor expected = at::full({3}, 256.0 + (world().size() - 1), at::kFloat).to(at::kBFloat16);
  EXPECT_TRUE(at::equal(mine, expected));
}

TEST(AllReduce, WorksInPlaceOnAGradientsPart) {
  at::Tensor whole = at::ones({4, 6});
  at::Tensor row = whole[2];
  world().all_reduce_sum(row);
  EXPECT_TRUE(at::equal(whole[2], at::full({6}, static_cast<float>(world().size()))));
  EXPECT_TRUE(at::equal(whole[1], at::ones({6})));
}

TEST(Broadcast, GivesEveryRankTheRootsTensor) {
  for (int root = 0; root < world().size(); ++root) {
    for (const at::ScalarType type : {at::kFloat, at::kBFloat16, at::kLong}) {
      for (const std::int64_t size : {0, 1, 4099}) {
        at::Tensor mine = share_of(world().rank(), {size}, type);
        world().broadcast(mine, root);
        EXPECT_TRUE(at::equal(mine, share_of(root, {size}, type)));
      }
    }
    at::Tensor flags = at::full({5}, world().rank() == root, at::kBool);
    world().broadcast(flags, root);
    EXPECT_TRUE(flags.all().item<bool>());
  }
}

TEST(Collectives, OneOddRankIsRefusedOnAllOfThemAndNamed) {
  if (world().size() == 1) GTEST_SKIP() << "needs several ranks";
  const int odd = world().size() - 1;
  const bool mine = world().rank() == odd;
  at::Tensor shape = at::zeros({mine ? 4 : 3});
  expect_error<UserError>([&] { world().all_reduce_sum(shape); },
                          {cat("rank ", odd), "all_reduce_sum", "[4]", "[3]", "expected"});
  expect_error<UserError>([&] { world().broadcast(shape, 0); }, {cat("rank ", odd), "broadcast", "[4]", "[3]"});
  at::Tensor type = at::zeros({3}, mine ? at::kDouble : at::kFloat);
  expect_error<UserError>([&] { world().all_reduce_sum(type); }, {cat("rank ", odd), "Double", "Float"});
  at::Tensor layout = mine ? at::zeros({3, 2}).t() : at::zeros({2, 3});
  expect_error<UserError>([&] { world().all_reduce_sum(layout); }, {cat("rank ", odd), "not contiguous"});
  // The group still works afterwards.
  at::Tensor good = at::ones({2});
  world().all_reduce_sum(good);
  EXPECT_EQ(good[0].item<double>(), world().size());
}

TEST(Collectives, ATensorThatIsNotContiguousIsRefusedEverywhere) {
  if (world().size() == 1) GTEST_SKIP() << "needs several ranks";
  at::Tensor odd = at::zeros({3, 2}).t();
  expect_error<UserError>([&] { world().all_reduce_sum(odd); }, {"not contiguous"});
  expect_error<UserError>([&] { world().broadcast(odd, 0); }, {"not contiguous"});
}

}  // namespace
}  // namespace rehyat
