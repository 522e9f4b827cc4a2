#include <gtest/gtest.h>

#include "core/expect_error.h"
#include "models/small_wan.h"

namespace rehyat::models {
namespace {

using testing::expect_error;
using Blocks = std::vector<std::int64_t>;

Blocks pattern(BlockPattern which, std::int64_t count, std::int64_t layers, std::int64_t step = 2) {
  BlockChoice choice;
  choice.pattern = which;
  choice.count = count;
  choice.step = step;
  return choice.resolve(layers);
}

TEST(BlockChoice, Patterns) {
  EXPECT_EQ(pattern(BlockPattern::all, 0, 4), (Blocks{0, 1, 2, 3}));
  EXPECT_EQ(pattern(BlockPattern::none, 0, 4), Blocks{});
  EXPECT_EQ(pattern(BlockPattern::first, 2, 5), (Blocks{0, 1}));
  EXPECT_EQ(pattern(BlockPattern::last, 2, 5), (Blocks{3, 4}));
  EXPECT_EQ(pattern(BlockPattern::every, 0, 7, 3), (Blocks{0, 3, 6}));
  EXPECT_EQ(pattern(BlockPattern::interleaved, 2, 4), (Blocks{1, 3}));
}

TEST(BlockChoice, InterleavedSpreadsEvenly) {
  for (std::int64_t layers = 1; layers <= 30; ++layers) {
    for (std::int64_t count = 1; count <= layers; ++count) {
      const Blocks blocks = pattern(BlockPattern::interleaved, count, layers);
      ASSERT_EQ(static_cast<std::int64_t>(blocks.size()), count);
      for (std::size_t i = 1; i < blocks.size(); ++i) {
        const std::int64_t gap = blocks[i] - blocks[i - 1];
        EXPECT_TRUE(gap == layers / count || gap == (layers + count - 1) / count) << layers << " " << count;
      }
    }
  }
}

TEST(BlockChoice, AListIsSortedAndWins) {
  BlockChoice choice;
  choice.list = Blocks{4, 0, 2};
  EXPECT_EQ(choice.resolve(5), (Blocks{0, 2, 4}));
  choice.list = Blocks{};
  EXPECT_EQ(choice.resolve(5), Blocks{});
}

TEST(BlockChoice, RefusesWhatTheModelLacks) {
  BlockChoice choice;
  choice.list = Blocks{0, 5};
  expect_error<UserError>([&] { choice.resolve(5); }, {"hybrid.blocks", "found block 5", "expected 0 to 4"});
  choice.list = Blocks{-1};
  expect_error<UserError>([&] { choice.resolve(5); }, {"found block -1", "expected 0 to 4"});
  choice.list = Blocks{3, 1, 3};
  expect_error<UserError>([&] { choice.resolve(5); }, {"found block 3 twice", "expected it once"});
  for (const BlockPattern which : {BlockPattern::first, BlockPattern::last, BlockPattern::interleaved}) {
    expect_error<UserError>([&] { pattern(which, 6, 5); }, {"hybrid.blocks.count", "found 6", "expected 1 to 5"});
    expect_error<UserError>([&] { pattern(which, 0, 5); }, {"hybrid.blocks.count", "found 0", "expected 1 to 5"});
  }
}

TEST(HybridConfig, ReadsAListOrAPattern) {
  const auto read = [](const std::string& text) {
    return config::from_json<HybridConfig>(nlohmann::ordered_json::parse(text), "test.json");
  };
  EXPECT_EQ(read(R"({"blocks": [2, 0]})").blocks.resolve(3), (Blocks{0, 2}));
  const HybridConfig config =
      read(R"({"blocks": {"pattern": "last", "count": 1}, "attention": {"kind": "rehyat", "tc": 5, "to": 2}})");
  const BlockMap blocks = resolve(config, 3);
  ASSERT_EQ(blocks.size(), 1U);
  EXPECT_EQ(blocks.at(2).spec.tc, 5);
  EXPECT_EQ(blocks.at(2).spec.to, 2);
  EXPECT_TRUE(resolve(read(R"({"attention": {"kind": "softmax"}})"), 3).empty());
  expect_error<UserError>([&] { read(R"({"blocks": {"patern": "last"}})"); }, {"test.json", "patern", "pattern"});
}

TEST(BlockMap, SurvivesJson) {
  BlockMap blocks;
  for (const BlockAttention& attention : testing::every_attention())
    blocks[static_cast<std::int64_t>(blocks.size())] = attention;
  EXPECT_EQ(block_map_from_json(to_json(blocks), "test.json"), blocks);
}

TEST(BlockMap, RefusesBrokenJson) {
  const auto read = [](const std::string& text) {
    return block_map_from_json(nlohmann::ordered_json::parse(text), "test.json");
  };
  expect_error<UserError>([&] { read("{}"); }, {"test.json", "no list of blocks"});
  expect_error<UserError>([&] { read("[1]"); }, {"test.json", "without block and attention"});
  expect_error<UserError>([&] { read(R"([{"block": "a", "attention": {}}])"); }, {"without block and attention"});
  expect_error<UserError>([&] { read(R"([{"block": 1, "attention": {}}, {"block": 1, "attention": {}}])"); },
                          {"test.json", "found block 1 twice"});
  expect_error<UserError>([&] { read(R"([{"block": 1, "attention": {"tc": 0}}])"); }, {"test.json", "tc", "0"});
}

TEST(Convert, RefusesABlockThatIsNotThere) {
  WanTransformer model = testing::small_wan(2);
  const BlockAttention attention = testing::every_attention()[1];
  expect_error<UserError>(
      [&] {
        convert(model, {{2, attention}}, 1, testing::kLatent);
      },
      {"[convert]", "found block 2", "expected 0 to 1"});
}

TEST(WindowTokens, CountsTheSoftmaxKeys) {
  using ops::AttentionKind;
  EXPECT_EQ(window_tokens({.kind = AttentionKind::rehyat, .tc = 3, .to = 1}, 21, 10), 40);
  EXPECT_EQ(window_tokens({.kind = AttentionKind::rehyat, .tc = 3, .to = 1}, 2, 10), 20);
  EXPECT_EQ(window_tokens({.kind = AttentionKind::uniform_hybrid, .rate = 8}, 4, 10), 5);
  EXPECT_EQ(window_tokens({.kind = AttentionKind::softmax}, 4, 10), 40);
}

}  // namespace
}  // namespace rehyat::models
