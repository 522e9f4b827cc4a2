#include <gtest/gtest.h>

#include <cstdio>

#include "analysis/wan_case.h"
#include "core/error.h"

namespace rehyat::analysis {
namespace {

ops::AttentionSpec rehyat_spec(std::int64_t tc, std::int64_t to, bool causal = true) {
  ops::AttentionSpec spec;
  spec.tc = tc, spec.to = to, spec.causal = causal;
  return spec;
}

std::string three_digits(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3f", value);
  return text;
}

TEST(BlockCost, ReproducesThePapersTableInBothConventions) {
  struct Row {
    std::int64_t tc, to;
    const char *paper, *recurrent;
  };
  for (const Row& row : {Row{1, 1, "3.865", "3.658"}, Row{2, 1, "4.039", "3.942"}, Row{3, 1, "4.300", "4.256"},
                         Row{5, 1, "4.825", "4.794"}, Row{3, 0, "4.038", "3.987"}}) {
    const BlockCost cost = block_cost(kWan, kVideo, rehyat_spec(row.tc, row.to));
    EXPECT_EQ(three_digits(cost.block_tflops_paper), row.paper) << row.tc << "," << row.to;
    ASSERT_TRUE(cost.block_tflops_recurrent.has_value());
    EXPECT_EQ(three_digits(*cost.block_tflops_recurrent), row.recurrent) << row.tc << "," << row.to;
  }
}

TEST(BlockCost, NonCausalHasNoRecurrentCount) {
  const BlockCost cost = block_cost(kWan, kVideo, rehyat_spec(3, 0, false));
  EXPECT_EQ(three_digits(cost.block_tflops_paper), "4.116");
  EXPECT_FALSE(cost.block_tflops_recurrent.has_value());
  EXPECT_EQ(cost.state_bytes, 0);
  EXPECT_EQ(cost.ring_bytes, 0);
  EXPECT_TRUE(to_json(cost).at("block_tflops_recurrent").is_null());
}

TEST(BlockCost, SoftmaxBlockAndItsCore) {
  const BlockCost cost = block_cost(kWan, kVideo, softmax_block().attention);
  EXPECT_EQ(three_digits(cost.block_tflops_paper), "9.433");
  EXPECT_EQ(three_digits(cost.attention_tflops), "6.594");
  EXPECT_EQ(cost.phi_parameters, 0);
  EXPECT_EQ(cost.state_bytes, 0);
}

TEST(BlockCost, AttentionByItsParts) {
  const double dense = block_cost(kWan, kVideo, softmax_block().attention).block_tflops_paper -
                       attention_work(kWan, kVideo, softmax_block().attention).total();
  const AttentionWork hybrid = attention_work(kWan, kVideo, rehyat_spec(3, 1));
  EXPECT_NEAR(dense + hybrid.total(), *block_cost(kWan, kVideo, rehyat_spec(3, 1)).block_tflops_recurrent, 1e-9);
  // Six chunks of 3 slices see 4, the first sees 3, of 1560 tokens each; two products of the width 1536.
  EXPECT_NEAR(hybrid.softmax, 4 * 1536e-12 * 1560 * 1560 * (6 * 12 + 9), 1e-9);
  EXPECT_NEAR(hybrid.phi, 2 * 2e-12 * 12 * 32760 * (128 * 256 + 256 * 256), 1e-9);
  EXPECT_EQ(attention_work(kWan, kVideo, softmax_block().attention).phi, 0);
  EXPECT_EQ(attention_work(kWan, kVideo, {.kind = ops::AttentionKind::linear}).softmax, 0);
}

TEST(BlockCost, StateAndRingOfTheRecurrentForm) {
  const BlockCost cost = block_cost(kWan, kVideo, rehyat_spec(3, 1));
  EXPECT_EQ(cost.state_bytes, 12 * 256 * 129 * 4);  // 1.6 MB
  EXPECT_EQ(cost.ring_bytes, 2 * 1560 * 1536 * 2);  // 9.6 MB
  EXPECT_EQ(block_cost(kWan, kVideo, rehyat_spec(3, 2)).ring_bytes, 2 * cost.ring_bytes);
  EXPECT_EQ(block_cost(kWan, kVideo, rehyat_spec(3, 0)).ring_bytes, 0);
  // phi before RoPE: its keys are kept beside those of the softmax branch.
  EXPECT_EQ(block_cost(kWan, kVideo, rehyat_spec(3, 1), {.rope_first = false}).ring_bytes, cost.ring_bytes / 2 * 3);
  VideoSize longer = kVideo;
  longer.frames = 401;
  EXPECT_EQ(block_cost(kWan, longer, rehyat_spec(3, 1)).state_bytes, cost.state_bytes);
  EXPECT_EQ(block_cost(kWan, longer, rehyat_spec(3, 1)).ring_bytes, cost.ring_bytes);
}

TEST(BlockCost, RecurrentCountGrowsLinearlyWithTheVideo) {
  VideoSize one = kVideo, two = kVideo;
  one.frames = 4 * 30 - 3, two.frames = 4 * 60 - 3;  // 30 and 60 slices: no short last chunk at Tc = 3
  const auto spec = rehyat_spec(3, 0);
  const double at_30 = *block_cost(kWan, one, spec).block_tflops_recurrent;
  const double at_60 = *block_cost(kWan, two, spec).block_tflops_recurrent;
  const double text = 2.0 * 2 * 512 * 1536 * 1536 / 1e12;  // keys and values of the prompt: once a video
  EXPECT_NEAR(at_60 - text, 2 * (at_30 - text), 1e-9);
}

TEST(BlockCost, UniformHybridAndLinear) {
  ops::AttentionSpec uniform, linear;
  uniform.kind = ops::AttentionKind::uniform_hybrid, uniform.rate = 8;
  linear.kind = ops::AttentionKind::linear;
  const BlockCost u = block_cost(kWan, kVideo, uniform), l = block_cost(kWan, kVideo, linear);
  // Softmax over N/8 keys; the linear branch of R = 8 sees the other 7/8 of them.
  const double n = 32760, phi = 4.0 * (128 * 256 + 256 * 256) * 12 * n / 1e12, query = 2 * n * 256 * 128 * 12 / 1e12;
  EXPECT_NEAR(u.attention_tflops, 4 * 1536 * n * 4095 / 1e12 + phi + query + query * 7 / 8, 1e-9);
  EXPECT_NEAR(l.attention_tflops, phi + 2 * query, 1e-9);
  EXPECT_EQ(u.rate, 8);
  EXPECT_FALSE(l.rate.has_value());
  EXPECT_FALSE(u.tc.has_value());
}

TEST(BlockCost, AVideoWithinOneWindowHasNoLinearKeys) {
  VideoSize short_video = kVideo;
  short_video.frames = 9;  // 3 slices
  const BlockCost cost = block_cost(kWan, short_video, rehyat_spec(3, 1));
  EXPECT_DOUBLE_EQ(cost.block_tflops_paper, *cost.block_tflops_recurrent);
}

TEST(BlockCost, OtherFeatureMaps) {
  ops::FeatureMapConfig hedgehog, elu;
  hedgehog.kind = ops::FeatureMapKind::hedgehog;
  elu.kind = ops::FeatureMapKind::elu;
  EXPECT_EQ(phi_parameters(kWan, {}), 2'371'584);
  EXPECT_EQ(phi_parameters(kWan, elu), 0);
  EXPECT_EQ(phi_parameters(kWan, hedgehog), 2 * 12 * 128 * (hedgehog.feature_width(128) / 2));
  EXPECT_LT(block_cost(kWan, kVideo, rehyat_spec(3, 1), elu).block_tflops_paper,
            block_cost(kWan, kVideo, rehyat_spec(3, 1)).block_tflops_paper);
}

TEST(BlockCost, JsonCarriesTheAgreedKeys) {
  const auto json = to_json(block_cost(kWan, kVideo, rehyat_spec(5, 1)));
  for (const char* key : {"kind", "tc", "to", "causal", "rate", "frames", "height", "width", "block_tflops_paper",
                          "block_tflops_recurrent", "attention_tflops", "state_bytes", "ring_bytes"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(json.at("kind"), "rehyat");
  EXPECT_EQ(json.at("tc"), 5);
  EXPECT_EQ(json.at("causal"), true);
  EXPECT_TRUE(json.at("rate").is_null());
}

TEST(ModelCost, ParametersOfWan) {
  EXPECT_EQ(model_parameters(kWan), 1'418'996'800);
}

TEST(ModelCost, OutputChannelsOfTheirOwn) {
  models::WanConfig config;
  config.out_channels = 32;
  const models::Architecture wide = config.architecture();  // the head alone grows: 16 channels of a 1 x 2 x 2 patch
  EXPECT_EQ(model_parameters(wide), 1'418'996'800 + 16 * 4 * (1536 + 1));
  const std::vector<BlockChoice> blocks(30, softmax_block());
  EXPECT_NEAR(model_cost(wide, kVideo, blocks).outside_tflops - model_cost(kWan, kVideo, blocks).outside_tflops,
              2.0 * 32760 * 64 * 1536 / 1e12, 1e-9);
}

TEST(ModelCost, AddsUpAHybridModel) {
  std::vector<BlockChoice> blocks(30, softmax_block());
  for (std::size_t i = 0; i < blocks.size(); i += 2) blocks[i].attention = rehyat_spec(3, 1);
  const ModelCost cost = model_cost(kWan, kVideo, blocks);
  EXPECT_NEAR(cost.tflops_paper - cost.outside_tflops,
              15 * cost.blocks[0].block_tflops_paper + 15 * cost.blocks[1].block_tflops_paper, 1e-9);
  EXPECT_NEAR(cost.tflops_softmax - cost.outside_tflops, 30 * cost.blocks[1].block_tflops_paper, 1e-9);
  EXPECT_LT(cost.tflops_recurrent, cost.tflops_paper);
  EXPECT_EQ(cost.phi_parameters, 15 * 2'371'584);
  EXPECT_EQ(cost.parameters, 1'418'996'800 + cost.phi_parameters);
  EXPECT_FALSE(cost.constant_memory);
  EXPECT_EQ(to_json(cost).at("blocks").size(), 30u);
}

TEST(ModelCost, StatesOfChunkByChunkSampling) {
  BlockChoice converted;
  converted.attention = rehyat_spec(3, 1);
  const ModelCost cost = model_cost(kWan, kVideo, std::vector<BlockChoice>(30, converted));
  EXPECT_TRUE(cost.constant_memory);
  EXPECT_NEAR(static_cast<double>(sampling_state_bytes(cost, 50, 2, 2)) / 1e9, 33.5, 0.05);
  std::vector<BlockChoice> mixed(30, converted);
  mixed[7].attention = rehyat_spec(5, 1);
  EXPECT_FALSE(model_cost(kWan, kVideo, mixed).constant_memory);
  mixed[7].attention = rehyat_spec(3, 2);  // another overlap at the same pace
  EXPECT_TRUE(model_cost(kWan, kVideo, mixed).constant_memory);
  // A ring in float32 is twice as large, the states are what they were.
  EXPECT_EQ(sampling_state_bytes(cost, 1, 1, 4), cost.state_bytes + 2 * cost.ring_bytes);
  EXPECT_EQ(sampling_text_bytes(kWan, 2, 2), 2 * 2 * 512 * 1536 * (1 + 2 * 30));
}

TEST(ModelCost, RefusesWhatDoesNotFit) {
  EXPECT_THROW(model_cost(kWan, kVideo, std::vector<BlockChoice>(29, softmax_block())), UserError);
  VideoSize frames = kVideo, odd = kVideo;
  frames.frames = 80, odd.width = 840;
  EXPECT_THROW(block_cost(kWan, frames, rehyat_spec(3, 1)), UserError);
  EXPECT_THROW(block_cost(kWan, odd, rehyat_spec(3, 1)), UserError);
  models::Architecture heads = kWan;
  heads.heads = 11;
  EXPECT_THROW(block_cost(heads, kVideo, rehyat_spec(3, 1)), UserError);
  try {
    block_cost(kWan, frames, rehyat_spec(3, 1));
    FAIL();
  } catch (const UserError& error) {
    EXPECT_NE(std::string(error.what()).find("take 77"), std::string::npos) << error.what();
  }
}

}  // namespace
}  // namespace rehyat::analysis
