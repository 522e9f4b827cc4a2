#include "data/dataset/split.h"

#include <gtest/gtest.h>

namespace rehyat::data {
namespace {

std::vector<GroupedClip> alone(std::size_t count) {
  std::vector<GroupedClip> clips;
  for (std::size_t i = 0; i < count; ++i) clips.push_back({i, ""});
  return clips;
}

TEST(HeldOut, TakesTheShareAndAlwaysLeavesTraining) {
  EXPECT_EQ(held_out(alone(20), 0.2, 1).size(), 4U);
  EXPECT_EQ(held_out(alone(20), 0.2, 1), held_out(alone(20), 0.2, 1));
  EXPECT_NE(held_out(alone(20), 0.2, 1), held_out(alone(20), 0.2, 2));
  EXPECT_EQ(held_out(alone(3), 0.01, 1).size(), 1U);
  EXPECT_EQ(held_out(alone(2), 0.9, 1).size(), 1U);
  EXPECT_TRUE(held_out(alone(1), 0.9, 1).empty());
  EXPECT_TRUE(held_out(alone(9), 0, 1).empty());
}

TEST(HeldOut, KeepsGroupsOnOneSide) {
  std::vector<GroupedClip> clips;
  for (std::size_t i = 0; i < 30; ++i) clips.push_back({i, i % 3 == 0 ? "" : "scene" + std::to_string(i % 5)});
  for (std::uint64_t seed = 0; seed < 50; ++seed) {
    const std::set<std::size_t> out = held_out(clips, 0.3, seed);
    EXPECT_GT(out.size(), 0U);
    EXPECT_LE(out.size(), 9U);
    for (const GroupedClip& a : clips)
      for (const GroupedClip& b : clips)
        if (!a.group.empty() && a.group == b.group) {
          ASSERT_EQ(out.contains(a.clip), out.contains(b.clip)) << "seed " << seed;
        }
  }
}

TEST(HeldOut, GroupsThatAreLargerThanTheShare) {
  const std::vector<GroupedClip> clips = {{0, "a"}, {1, "a"}, {2, "a"}, {3, "b"}, {4, "b"}};
  EXPECT_EQ(held_out(clips, 0.1, 3), (std::set<std::size_t>{3, 4}));
  EXPECT_TRUE(held_out({{0, "a"}, {1, "a"}}, 0.5, 3).empty());
}

}  // namespace
}  // namespace rehyat::data
