#include "comm/exchange.h"

#include <gtest/gtest.h>

#include <map>

#include "comm/mpi_test_main.h"
#include "core/error.h"
#include "core/expect_error.h"
#include "core/strings.h"
#include "tensor/random.h"

namespace rehyat {
namespace {

using comm::Cargo;
using comm::Route;
using testing::expect_error;
using testing::world;

at::Tensor tensor_of(std::size_t i, at::ScalarType type) {
  Rng rng(3, "test.exchange", {i});
  return randn(rng, {5, 7}).to(type);
}

/// From every rank to every rank, the same included, `each` times.
std::vector<Route> all_pairs(int each) {
  std::vector<Route> routes;
  for (int n = 0; n < each; ++n) {
    for (int from = 0; from < world().size(); ++from) {
      for (int to = 0; to < world().size(); ++to) routes.push_back({from, to});
    }
  }
  return routes;
}

TEST(Exchange, EachTensorComesToItsRankAloneWhateverTheGroups) {
  for (const at::ScalarType type : {at::kFloat, at::kBFloat16}) {
    const std::vector<Route> routes = all_pairs(3);
    const auto each = static_cast<std::int64_t>(tensor_of(0, type).nbytes());
    for (const std::int64_t at_once : {std::int64_t{1}, 3 * each, std::int64_t{1} << 28}) {
      SCOPED_TRACE(at_once);
      std::map<std::size_t, at::Tensor> taken;
      const Cargo cargo{at::empty({5, 7}, type),
                        [&](std::size_t i) {
                          EXPECT_EQ(routes[i].from, world().rank());
                          return tensor_of(i, type);
                        },
                        [&](std::size_t i, const at::Tensor& tensor) { taken[i] = tensor; }};
      const std::int64_t received = comm::exchange(routes, cargo, world(), at_once);
      EXPECT_EQ(received, 3 * (world().size() - 1) * each);
      EXPECT_EQ(taken.size(), 3 * static_cast<std::size_t>(world().size()));
      for (const auto& [i, tensor] : taken) {
        EXPECT_EQ(routes[i].to, world().rank());
        EXPECT_TRUE(at::equal(tensor, tensor_of(i, type))) << i;
      }
    }
  }
}

TEST(Exchange, NothingAtAllAndTensorsWithoutElementsWork) {
  int taken = 0;
  const Cargo cargo{at::empty({0, 4}),
                    [](std::size_t) {
                      return at::empty({0, 4});
                    },
                    [&](std::size_t, const at::Tensor&) { ++taken; }};
  EXPECT_EQ(comm::exchange({}, cargo, world()), 0);
  EXPECT_EQ(comm::exchange(all_pairs(1), cargo, world()), 0);
  EXPECT_EQ(taken, world().size());
}

TEST(Exchange, AnErrorOfOneRankEndsAll) {
  const int failing = world().size() - 1;
  for (const bool giving : {true, false}) {
    const Cargo cargo{at::empty({5, 7}),
                      [&](std::size_t i) {
                        if (giving && world().rank() == failing) throw UserError("the disk is gone");
                        return tensor_of(i, at::kFloat);
                      },
                      [&](std::size_t, const at::Tensor&) {
                        if (!giving && world().rank() == failing) throw UserError("no memory left");
                      }};
    expect_error<UserError>([&] { comm::exchange(all_pairs(1), cargo, world()); },
                            {giving ? "the disk is gone" : "no memory left"});
  }
  EXPECT_TRUE(world().any(true));
}

TEST(Exchange, WhatDoesNotFitIsRefused) {
  const Cargo odd{at::empty({5, 7}),
                  [](std::size_t) {
                    return at::zeros({7, 5}).t();
                  },
                  [](std::size_t, const at::Tensor&) {}};
  expect_error<UserError>([&] { comm::exchange(all_pairs(1), odd, world()); }, {"[exchange]", "contiguous"});
  if (world().size() == 1) return;
  std::vector<Route> routes = all_pairs(1);
  if (world().rank() == 1) routes.pop_back();
  expect_error<UserError>([&] { comm::exchange(routes, odd, world()); }, {"[exchange] rank 1", "expected"});
}

}  // namespace
}  // namespace rehyat
