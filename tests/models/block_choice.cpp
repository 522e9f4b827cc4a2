#include <gtest/gtest.h>

#include <filesystem>

#include "core/expect_error.h"
#include "models/small_wan.h"
#include "models/wan/weights.h"

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

HybridConfig hybrid_of(const std::string& text) {
  return config::load<HybridConfig>(config::Document::from_text(text, "run.yaml"));
}

TEST(HybridConfig, ReadsGroupsWithAnAttentionEach) {
  const HybridConfig config = hybrid_of(
      "groups:\n"
      "  - { blocks: [0, 1], attention: { kind: rehyat, tc: 5 } }\n"
      "  - { blocks: { pattern: last, count: 1 }, attention: { kind: linear, phi: { kind: hedgehog } } }\n"
      "  - { blocks: [2], attention: { kind: softmax } }\n");
  const BlockMap blocks = resolve(config, 4);
  ASSERT_EQ(blocks.size(), 3U);
  EXPECT_EQ(blocks.at(0), blocks.at(1));
  EXPECT_EQ(blocks.at(1).spec, (ops::AttentionSpec{.tc = 5}));
  EXPECT_EQ(blocks.at(3).spec.kind, ops::AttentionKind::linear);
  EXPECT_EQ(blocks.at(3).phi.kind, ops::FeatureMapKind::hedgehog);
  const auto attentions = attentions_of(blocks);
  ASSERT_EQ(attentions.size(), 2U);
  EXPECT_EQ(attentions[0], std::pair(blocks.at(0), std::int64_t{2}));
  EXPECT_EQ(attentions[1], std::pair(blocks.at(3), std::int64_t{1}));
  EXPECT_EQ(config.without(AttentionForm::recurrent)->kind, ops::AttentionKind::linear);
  const auto saved = config::to_json(config);
  EXPECT_FALSE(saved.contains("blocks"));
  EXPECT_EQ(resolve(config::from_json<HybridConfig>(saved, "resolved"), 4), blocks);
  EXPECT_FALSE(config::to_json(hybrid_of("blocks: [0]")).contains("groups"));
}

TEST(HybridConfig, RefusesGroupsThatDoNotFit) {
  const auto refused = [](const std::string& groups, const std::vector<std::string>& parts) {
    expect_error<UserError>([&] { resolve(hybrid_of("groups: " + groups), 3); }, parts);
  };
  refused("[{ blocks: [0] }, { blocks: [1, 0] }]",
          {"hybrid.groups.1.blocks: found block 0, which hybrid.groups.0 has too, expected each block in one group"});
  refused("[{ blocks: [0] }, { blocks: { pattern: all } }]", {"hybrid.groups.1.blocks: found block 0"});
  refused("[{ blocks: [0] }, { blocks: [3] }]", {"hybrid.groups.1.blocks.list: found block 3, expected 0 to 2"});
  refused("[{ blocks: { pattern: first, count: 4 } }]", {"hybrid.groups.0.blocks.count: found 4, expected 1 to 3"});
  refused("[{ attention: { tc: 2 } }]", {"run.yaml:1:10", "'groups.0.blocks' is missing"});
  refused("[{ blocks: [0], attention: { kind: linear, tc: 2 } }]", {"'groups.0.attention.tc'", "without effect"});
  refused("[{ blocks: [0], attention: { kind: rehyad } }]", {"'groups.0.attention.kind'", "did you mean 'rehyat'?"});
  refused("[]", {"'groups'", "without effect", "with at least one group"});
  refused("[{ blocks: [0] }]\nblocks: [1]", {"run.yaml:2:1", "'blocks'", "without effect", "only without groups"});
  refused("[{ blocks: [0] }]\nattention: { tc: 2 }", {"'attention'", "without effect", "only without groups"});
}

TEST(HybridConfig, RefusesKeysWithoutEffect) {
  const auto read = [](const std::string& text) {
    return config::load<HybridConfig>(config::Document::from_text(text, "run.yaml"));
  };
  const std::vector<std::pair<std::string, std::string>> cases = {
      {"blocks: {list: [0], pattern: last}", "'blocks.pattern'"},
      {"blocks: {list: [0], count: 1}", "'blocks.count'"},
      {"blocks: {pattern: all, count: 1}", "'blocks.count'"},
      {"blocks: {pattern: first, count: 1, step: 2}", "'blocks.step'"},
      {"blocks: {step: 2}", "'blocks.step'"},
      {"attention: {kind: linear, tc: 5}", "'attention.tc'"},
      {"attention: {kind: softmax, phi: {degree: 3}}", "'attention.phi'"},
      {"attention: {phi: {kind: hedgehog, degree: 3}}", "'attention.phi.degree'"}};
  for (const auto& [text, key] : cases)
    expect_error<UsageError>([&, &text = text] { read(text); }, {"run.yaml:1:", key, "found a key without effect"});
  for (const std::string text : {"blocks: {list: [0]}", "blocks: {pattern: every, step: 3}", "blocks: {pattern: none}",
                                 "attention: {kind: uniform_hybrid, rate: 4}"}) {
    const HybridConfig config = read(text);
    EXPECT_EQ(config::to_json(config::from_json<HybridConfig>(config::to_json(config), "resolved")),
              config::to_json(config));
  }
}

/// A map that can be negative and the normalizer joint, wherever a block's attention comes from.
TEST(BlockAttention, RefusesNegativeFeaturesWithJoint) {
  const BlockAttention bad{{.kind = ops::AttentionKind::rehyat}, {.nonnegative = ops::NonNegative::none}};
  const std::vector<std::string> parts = {"phi.nonnegative", "found none", "joint", "row_max"};
  expect_error<UserError>([&] { bad.validate(); }, parts);
  expect_error<UsageError>(
      [] {
        config::load<HybridConfig>(config::Document::from_text("attention: {phi: {nonnegative: none}}", "run.yaml"));
      },
      {"run.yaml:1:12", "'attention'", "phi.nonnegative", "joint"});
  WanTransformer model = testing::small_wan(1);
  expect_error<UserError>([&] { convert(model, {{0, bad}}, 1, testing::kLatent); }, parts);
  expect_error<UserError>([&] { block_map_from_json(to_json(BlockMap{{0, bad}}), "hybrid.json"); }, parts);
  for (const auto normalizer : {ops::Normalizer::row_max, ops::Normalizer::lse}) {
    BlockAttention good = bad;
    good.spec.normalizer = normalizer;
    convert(model, {{0, good}}, 1, testing::kLatent);
    expect_error<UserError>([&] { model->attention(0)->set_spec(bad.spec); }, parts);
    EXPECT_EQ(model->attention(0)->attention(), good);
  }
  BlockAttention linear = bad;  // has no normalizer
  linear.spec.kind = ops::AttentionKind::linear;
  EXPECT_NO_THROW(linear.validate());
}

TEST(HybridMetadata, SaysWhatTheFeatureMapsWereMadeFor) {
  BlockMap blocks = {{1, testing::every_attention()[1]}, {4, testing::every_attention()[1]}};
  safetensors::Metadata metadata = hybrid_metadata(blocks);
  EXPECT_EQ(metadata.at("format"), "pt");
  EXPECT_EQ(metadata.at("kind"), "rehyat");
  EXPECT_EQ(metadata.at("normalizer"), "joint");
  EXPECT_NO_THROW(check_hybrid_metadata(metadata, blocks, "hybrid.safetensors"));
  BlockMap other = blocks;
  other.at(4).spec.normalizer = ops::Normalizer::lse;
  EXPECT_EQ(hybrid_metadata(other).at("normalizer"), "joint,lse");
  const auto refused = [&](const BlockMap& wanted, const std::vector<std::string>& parts) {
    expect_error<UserError>([&] { check_hybrid_metadata(metadata, wanted, "hybrid.safetensors"); }, parts);
  };
  refused(other, {"hybrid.safetensors", "block 4", "joint", "lse"});
  refused({{1, blocks.at(1)}}, {"hybrid.safetensors", "2 blocks", "expected 1"});
  refused({{1, blocks.at(1)}, {2, blocks.at(1)}}, {"block 2", "nothing"});
  metadata["blocks"] = "[";
  refused(blocks, {"metadata 'blocks'", "not JSON"});
  metadata.erase("blocks");
  refused(blocks, {"no 'blocks'"});
  EXPECT_EQ(hybrid_metadata({{0, testing::every_attention()[8]}}).count("normalizer"), 0U);
}

/// The level of maps without weights is part of the model: without it they would start elsewhere after loading.
TEST(BlockMap, LevelsAreSavedAndLoaded) {
  const std::filesystem::path folder = std::filesystem::path(::testing::TempDir()) / "rehyat_levels";
  WanTransformer model = testing::small_wan(2);
  convert(model, {{0, testing::every_attention()[4]}, {1, testing::every_attention()[7]}}, 3, testing::kLatent);
  save_model(folder, model);
  WanTransformer loaded = load_model(folder);
  std::int64_t levels = 0;
  for (std::int64_t i = 0; i < 2; ++i) {
    const auto saved = model->attention(i)->phi_k()->named_buffers(),
               found = loaded->attention(i)->phi_k()->named_buffers();
    for (const auto& item : saved) {
      EXPECT_TRUE(at::equal(item.value(), found[item.key()])) << item.key();
      EXPECT_NE(item.value().item<float>(), 1);
      ++levels;
    }
  }
  EXPECT_EQ(levels, 2);
  std::filesystem::remove_all(folder);
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

}  // namespace
}  // namespace rehyat::models
