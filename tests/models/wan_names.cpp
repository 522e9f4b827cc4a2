#include <gtest/gtest.h>

#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/fixtures.h"
#include "models/small_wan.h"

namespace rehyat::models {
namespace {

using Shapes = std::map<std::string, std::vector<std::int64_t>>;

/// The published tensors of the 1.3B model: diffusers' name and the shape.
Shapes published() {
  std::ifstream file(testing::fixtures() / "wan_t2v_1_3B_tensors.tsv");
  std::string line, name, original, shape;
  std::getline(file, line);  // the titles of the columns
  Shapes out;
  while (std::getline(file, line)) {
    std::istringstream columns(line);
    std::getline(columns, name, '\t');
    std::getline(columns, original, '\t');
    std::getline(columns, shape, '\t');
    out[name] = nlohmann::json::parse(shape).get<std::vector<std::int64_t>>();
  }
  return out;
}

std::set<std::string> names_of(const Shapes& shapes) {
  std::set<std::string> out;
  for (const auto& item : shapes) out.insert(item.first);
  return out;
}

TEST(WanNames, TheListIsWhole) {
  const Shapes shapes = published();
  EXPECT_EQ(shapes.size(), 825U);
  std::int64_t parameters = 0;
  for (const auto& item : shapes) {
    std::int64_t size = 1;
    for (const std::int64_t n : item.second) size *= n;
    parameters += size;
  }
  EXPECT_EQ(parameters, 1'418'996'800);
}

TEST(WanNames, NamesAndShapesAreDiffusers) {
  WanConfig small = testing::small_config(30);
  small.in_channels = small.out_channels = 16;
  WanTransformer model(small);
  Shapes found;
  for (const auto& [name, tensor] : model->tensors(Weights::all)) found[name] = tensor.sizes().vec();
  const Shapes expected = published();
  ASSERT_EQ(names_of(found), names_of(expected));
  const WanConfig full;
  const std::map<std::int64_t, std::int64_t> smaller = {{full.dim, small.dim},
                                                        {6 * full.dim, 6 * small.dim},
                                                        {full.ffn_dim, small.ffn_dim},
                                                        {full.freq_dim, small.freq_dim},
                                                        {full.text_dim, small.text_dim}};
  for (auto [name, shape] : expected) {
    for (std::int64_t& size : shape) {
      const auto other = smaller.find(size);
      if (other != smaller.end()) size = other->second;
    }
    EXPECT_EQ(found.at(name), shape) << name;
  }
}

TEST(WanNames, FeatureMapsStandApartFromTheTeacher) {
  WanTransformer model = testing::small_wan(2);
  const std::size_t base = model->tensors(Weights::all).size();
  EXPECT_TRUE(model->tensors(Weights::feature_maps).empty());
  convert(model, {{1, testing::every_attention()[1]}}, 3, testing::kLatent);
  EXPECT_EQ(model->tensors(Weights::teacher).size(), base);
  const NamedTensors phi = model->tensors(Weights::feature_maps);
  EXPECT_EQ(model->tensors(Weights::all).size(), base + phi.size());
  ASSERT_FALSE(phi.empty());
  for (const auto& item : phi) EXPECT_EQ(item.first.rfind("blocks.1.attn1.phi_", 0), 0U) << item.first;
}

TEST(WanNames, ThePaperCountsTheFeatureMapsOfABlock) {
  SelfAttention attention(1536, 12, 1e-6);
  std::int64_t before = 0, after = 0;
  for (const auto& parameter : attention->parameters()) before += parameter.numel();
  attention->convert({{.kind = ops::AttentionKind::rehyat}, {}}, 1, 0, 6240);
  for (const auto& parameter : attention->parameters()) after += parameter.numel();
  EXPECT_EQ(after - before, 2'371'584);
}

TEST(WanConfigJson, SurvivesTheRoundTrip) {
  const WanConfig config = testing::small_config();
  EXPECT_EQ(from_diffusers_json(to_diffusers_json(config), "here"), config);
  const auto written = to_diffusers_json(WanConfig());
  EXPECT_EQ(written.at("attention_head_dim"), 128);
  EXPECT_EQ(written.at("num_attention_heads"), 12);
  EXPECT_EQ(written.at("patch_size"), (std::vector<int>{1, 2, 2}));
}

}  // namespace
}  // namespace rehyat::models
