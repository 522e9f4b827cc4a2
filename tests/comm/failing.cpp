#include <gtest/gtest.h>

#include "comm/mpi_test_main.h"

// A test that fails, on purpose, on the last rank alone: its entry passes when that rank says so and the program ends.
TEST(Failing, OnTheLastRank) {
  const auto& world = rehyat::testing::world();
  EXPECT_NE(world.rank(), world.size() - 1) << "as it should";
}
