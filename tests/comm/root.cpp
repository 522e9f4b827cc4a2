#include "comm/root.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

#include "comm/mpi_test_main.h"
#include "core/expect_error.h"

namespace rehyat {
namespace {

using testing::expect_error;
using testing::world;
using json = nlohmann::ordered_json;

struct Seen {
  std::vector<std::int64_t> blocks;
  std::string name = "none";
  double loss = 0;
  void fields(config::Fields& f) {
    f.add("blocks", blocks, "some");
    f.add("name", name, "one");
    f.add("loss", loss, "one");
  }
};

TEST(Root, WorksAloneWhileTheOthersWait) {
  int worked = 0;
  comm::on_root(world(), [&] { ++worked; });
  EXPECT_EQ(worked, world().rank() == 0 ? 1 : 0);
}

TEST(Root, AllHearWhatItSees) {
  const auto mine = static_cast<std::size_t>(world().rank()) + 7;
  EXPECT_EQ(comm::from_root<std::size_t>(world(), [&] { return mine; }), 7U);
  EXPECT_EQ(comm::from_root<bool>(world(), [&] { return world().rank() == 0; }), true);
  const std::vector<std::string> texts = {"", "caf\xE9 is not UTF-8", std::string("a\0b", 3)};
  EXPECT_EQ(comm::from_root<std::vector<std::string>>(world(), [&] { return texts; }), texts);
  EXPECT_TRUE(comm::from_root<std::vector<std::int64_t>>(world(), [] { return std::vector<std::int64_t>(); }).empty());
  const json any = {{"b", {1, -2, 0.1}}, {"a", nullptr}, {"huge", std::numeric_limits<std::uint64_t>::max()}};
  EXPECT_EQ(comm::from_root<json>(world(), [&] { return any; }).dump(), any.dump());
  EXPECT_TRUE(std::isnan(comm::from_root<double>(world(), [] { return std::nan(""); })));
}

TEST(Root, AllHearAStruct) {
  const Seen seen = comm::from_root<Seen>(world(), [] { return Seen{{3, 5}, "12", 0.1}; });
  EXPECT_EQ(seen.blocks, (std::vector<std::int64_t>{3, 5}));
  EXPECT_EQ(seen.name, "12");
  EXPECT_EQ(seen.loss, 0.1);
}

TEST(Root, AllLearnOfItsFailure) {
  const auto fail = [] { throw UserError("x: found no folder, expected one"); };
  expect_error<UserError>([&] { comm::on_root(world(), fail); }, {"x: found no folder"});
  expect_error<UserError>(
      [&] {
        comm::from_root<std::int64_t>(world(), [&]() -> std::int64_t {
          fail();
          return 1;
        });
      },
      {"x: found no folder"});
  // Nobody is left waiting.
  EXPECT_EQ(comm::from_root<int>(world(), [] { return 3; }), 3);
}

}  // namespace
}  // namespace rehyat
