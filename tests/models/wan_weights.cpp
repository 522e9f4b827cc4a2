#include <gtest/gtest.h>

#include <limits>

#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "models/small_wan.h"
#include "models/wan/weights.h"

namespace rehyat::models {
namespace {

using testing::expect_error;
using testing::run;
using testing::small_wan;
using testing::TempFolder;
using testing::wan_inputs;
using json = nlohmann::ordered_json;
constexpr const char* kWeights = "diffusion_pytorch_model.safetensors";

/// A model with three attentions of which two are converted.
WanTransformer hybrid() {
  WanTransformer model = small_wan();
  convert(model, {{0, testing::every_attention()[1]}, {2, testing::every_attention()[8]}}, 3, testing::kLatent);
  return model;
}

NamedTensors read_all(const std::filesystem::path& path) {
  const safetensors::Reader reader(path);
  NamedTensors out;
  for (const auto& info : reader.tensors()) out.emplace_back(info.name, read_tensor(reader, info).clone());
  return out;
}

/// Saves a hybrid model, rewrites one of its weight files, loads it again.
void load_changed(const std::string& file, const std::function<void(NamedTensors&)>& change) {
  TempFolder folder;
  save_model(folder.path(), hybrid());
  NamedTensors tensors = read_all(folder / file);
  const safetensors::Metadata metadata = safetensors::Reader(folder / file).metadata();
  change(tensors);
  write_tensors(folder / file, tensors, metadata);
  load_model(folder.path());
}

/// The same for config.json or hybrid.json.
void load_changed_json(const std::string& file, const std::function<void(json&)>& change) {
  TempFolder folder;
  save_model(folder.path(), hybrid());
  json value = json::parse(read_file(folder / file, 1 << 20));
  change(value);
  write_file_atomic(folder / file, value.dump());
  load_model(folder.path());
}

at::Tensor& find(NamedTensors& tensors, const std::string& name) {
  for (auto& [key, tensor] : tensors) {
    if (key == name) return tensor;
  }
  throw std::logic_error("the test names no tensor of the model: " + name);
}

void expect_equal(const WanTransformer& a, const WanTransformer& b) {
  const auto left = a->tensors(Weights::all), right = b->tensors(Weights::all);
  ASSERT_EQ(left.size(), right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].first, right[i].first);
    EXPECT_TRUE(at::equal(left[i].second, right[i].second)) << left[i].first;
  }
}

/// Found by tests/mutation: the memory was taken before the weights were compared.
TEST(ModelFolder, SizesFarBeyondTheWeightsAreRefusedBeforeTheyAreBuilt) {
  const auto refused = [](const std::string& file, const std::function<void(json&)>& change) {
    expect_error<UserError>([&] { load_changed_json(file, change); }, {file, "sizes of a model of", "numbers"});
  };
  refused("config.json", [](json& config) { config["num_layers"] = 100'000; });
  refused("config.json", [](json& config) { config["ffn_dim"] = 100'000; });
  refused("config.json", [](json& config) { config["text_dim"] = 100'000; });
  refused("hybrid.json", [](json& hybrid) { hybrid["blocks"][0]["attention"]["phi"]["hidden"] = 1LL << 40; });
  expect_error<UserError>([] { load_changed_json("config.json", [](json& c) {
                                 c["patch_size"] = {1, 9999, 9999};
                               }); },
                          {"config.json", "numbers in one"});
}

TEST(ModelFolder, TeacherComesBackBitEqual) {
  TempFolder folder;
  WanTransformer model = small_wan();
  save_model(folder.path(), model);
  EXPECT_FALSE(std::filesystem::exists(folder / "hybrid.json"));
  WanTransformer again = load_model(folder.path());
  expect_equal(again, model);
  EXPECT_EQ(again->config(), model->config());
  EXPECT_TRUE(at::equal(run(again, wan_inputs()), run(model, wan_inputs())));
}

TEST(ModelFolder, HybridComesBackBitEqual) {
  TempFolder folder;
  WanTransformer model = hybrid();
  save_model(folder.path(), model);
  WanTransformer again = load_model(folder.path());
  expect_equal(again, model);
  EXPECT_EQ(block_map_of(again), block_map_of(model));
  EXPECT_TRUE(at::equal(run(again, wan_inputs()), run(model, wan_inputs())));
}

TEST(ModelFolder, UnconvertedModelRemovesTheHybridPart) {
  TempFolder folder;
  save_model(folder.path(), hybrid());
  EXPECT_TRUE(std::filesystem::exists(folder / "hybrid.json"));
  EXPECT_TRUE(std::filesystem::exists(folder / "hybrid.safetensors"));
  save_model(folder.path(), small_wan());
  EXPECT_FALSE(std::filesystem::exists(folder / "hybrid.json"));
  EXPECT_FALSE(std::filesystem::exists(folder / "hybrid.safetensors"));
  EXPECT_TRUE(block_map_of(load_model(folder.path())).empty());
}

TEST(ModelFolder, HalfPrecisionFilesLoadAsFloat) {
  TempFolder folder;
  WanTransformer model = hybrid();
  save_model(folder.path(), model, at::kBFloat16);
  WanTransformer again = load_model(folder.path());
  const auto before = model->tensors(Weights::teacher), after = again->tensors(Weights::teacher);
  for (std::size_t i = 0; i < before.size(); ++i) {
    EXPECT_EQ(after[i].second.scalar_type(), at::kFloat);
    EXPECT_TRUE(at::equal(after[i].second, before[i].second.to(at::kBFloat16).to(at::kFloat))) << after[i].first;
  }
  // Feature maps are kept in float32 whatever the type of the rest.
  const auto phi = model->tensors(Weights::feature_maps), phi_after = again->tensors(Weights::feature_maps);
  for (std::size_t i = 0; i < phi.size(); ++i) EXPECT_TRUE(at::equal(phi[i].second, phi_after[i].second));
}

TEST(ModelFolder, ReadsShards) {
  TempFolder folder;
  WanTransformer model = small_wan();
  save_model(folder.path(), model);
  const NamedTensors all = read_all(folder / kWeights);
  NamedTensors shards[2];
  json map;
  for (std::size_t i = 0; i < all.size(); ++i) {
    shards[i % 2].push_back(all[i]);
    map[all[i].first] = i % 2 == 0 ? "a.safetensors" : "b.safetensors";
  }
  write_tensors(folder / "a.safetensors", shards[0]);
  write_tensors(folder / "b.safetensors", shards[1]);
  std::filesystem::remove(folder / kWeights);
  const auto index = folder / (std::string(kWeights) + ".index.json");
  write_file_atomic(index, json({{"weight_map", map}}).dump());
  expect_equal(load_model(folder.path()), model);
  shards[1].push_back(all[0]);
  write_tensors(folder / "b.safetensors", shards[1]);
  expect_error<UserError>([&] { load_model(folder.path()); }, {"b.safetensors", all[0].first, "expected it once"});
  map[all[0].first] = "../a.safetensors";
  write_file_atomic(index, json({{"weight_map", map}}).dump());
  expect_error<UserError>([&] { load_model(folder.path()); }, {"../a.safetensors", "a name in the same folder"});
}

TEST(ModelFolder, FingerprintFollowsTheContents) {
  TempFolder folder;
  EXPECT_EQ(model_fingerprint(folder.path()), "");
  WanTransformer model = small_wan();
  save_model(folder.path(), model);
  const std::string teacher = model_fingerprint(folder.path());
  save_model(folder.path(), model);
  EXPECT_EQ(model_fingerprint(folder.path()), teacher);
  save_model(folder.path(), hybrid());
  const std::string converted = model_fingerprint(folder.path());
  EXPECT_NE(converted, teacher);
  EXPECT_NE(converted, "");
}

TEST(ModelFolder, WrongTensors) {
  const std::string name = "blocks.1.attn1.to_q.weight";
  expect_error<UserError>(
      [&] {
        load_changed(kWeights,
                     [&](NamedTensors& t) { std::erase_if(t, [&](auto& item) { return item.first == name; }); });
      },
      {"found no tensor '" + name + "'", "1 of"});
  expect_error<UserError>(
      [&] {
        load_changed(kWeights, [&](NamedTensors& t) { t.emplace_back("blocks.1.attn1.to_x.weight", at::ones({2})); });
      },
      {kWeights, "the tensor 'blocks.1.attn1.to_x.weight'", "only tensors of the model",
       "the nearest name is 'blocks.1"});
  expect_error<UserError>([&] { load_changed(kWeights, [&](NamedTensors& t) {
                                  find(t, name) = at::ones({24, 23});
                                }); },
                          {kWeights, name, "found shape [24, 23]", "expected [24, 24]"});
  expect_error<UserError>(
      [&] {
        load_changed(kWeights, [&](NamedTensors& t) { find(t, name)[3][4] = std::numeric_limits<float>::quiet_NaN(); });
      },
      {kWeights, name, "found 1 of 576 values NaN or infinite"});
  expect_error<UserError>(
      [&] {
        load_changed("hybrid.safetensors",
                     [](NamedTensors& t) { t.front().second.view(-1)[0] = std::numeric_limits<float>::infinity(); });
      },
      {"hybrid.safetensors", "blocks.0.attn1.phi_", "NaN or infinite"});
  expect_error<UserError>([&] { load_changed("hybrid.safetensors", [](NamedTensors& t) { t.pop_back(); }); },
                          {"found no tensor 'blocks.", "phi_"});
}

TEST(ModelFolder, FeatureMapsOfOtherAttentionAreRefused) {
  // Both files are whole, but one is of another model.
  TempFolder folder;
  save_model(folder.path(), hybrid());
  json value = json::parse(read_file(folder / "hybrid.json", 1 << 20));
  value["blocks"][0]["attention"]["tc"] = value["blocks"][0]["attention"]["tc"].get<int>() + 1;
  write_file_atomic(folder / "hybrid.json", value.dump());
  expect_error<UserError>([&] { load_model(folder.path()); },
                          {"hybrid.safetensors", "found feature maps made for", "take both files from the same model"});
}

TEST(ModelFolder, IntegersAreNoWeights) {
  const std::string name = "blocks.0.norm2.bias";
  expect_error<UserError>(
      [&] { load_changed(kWeights, [&](NamedTensors& t) { find(t, name) = at::ones({24}, at::kLong); }); },
      {kWeights, name, "found type Long", "expected a floating type"});
}

TEST(ModelFolder, WrongConfig) {
  const auto with = [](const std::string& key, const json& value) {
    return [=] { load_changed_json("config.json", [&](json& j) { j[key] = value; }); };
  };
  expect_error<UserError>(with("num_attention_heads", 0),
                          {"config.json", "found num_attention_heads 0", "expected a whole number from 1 to 100000"});
  expect_error<UserError>(with("num_attention_heads", -2), {"config.json", "found num_attention_heads -2"});
  expect_error<UserError>(with("attention_head_dim", std::int64_t{1} << 62),
                          {"config.json", "found attention_head_dim 4611686018427387904"});
  expect_error<UserError>(with("num_layers", "many"), {"config.json", "found num_layers \"many\""});
  expect_error<UserError>(with("num_layers", 2.5), {"config.json", "found num_layers 2.5"});
  expect_error<UserError>(with("num_layers", nullptr), {"config.json", "found num_layers null"});
  expect_error<UserError>(with("eps", 0), {"config.json", "found eps 0", "above 0"});
  expect_error<UserError>(with("patch_size", {1, 2}), {"config.json", "patch_size [1,2]", "expected [1, p, p]"});
  expect_error<UserError>(with("num_layers", 4), {"found no tensor 'blocks.3."});
  expect_error<UserError>(with("num_layers", 2), {"the tensor 'blocks.2."});
  expect_error<UserError>(with("freq_dim", 7), {"config.json", "freq_dim", "found 7"});
  expect_error<UserError>(with("patch_size", {2, 2, 2}), {"config.json", "patch_size [2,2,2]", "expected [1, p, p]"});
  expect_error<UserError>(with("qk_norm", "layer_norm"), {"config.json", "qk_norm \"layer_norm\""});
  expect_error<UserError>(with("image_dim", 1280), {"config.json", "image_dim 1280", "expected null"});
  expect_error<UserError>([&] { load_changed_json("config.json", [](json& j) { j.erase("ffn_dim"); }); },
                          {"config.json", "found no ffn_dim"});
  expect_error<UserError>([&] { load_changed_json("config.json", [](json& j) { j = json::array({1}); }); },
                          {"config.json", "JSON that is no object"});
}

TEST(ModelFolder, WrongHybridPart) {
  const auto change = [](const std::function<void(json&)>& edit) {
    return [=] { load_changed_json("hybrid.json", edit); };
  };
  expect_error<UserError>(change([](json& j) { j["format"] = 2; }), {"hybrid.json", "format", "expected 1"});
  expect_error<UserError>(change([](json& j) { j.erase("format"); }), {"hybrid.json", "format", "expected 1"});
  expect_error<UserError>(change([](json& j) { j.erase("blocks"); }), {"hybrid.json", "no list of blocks"});
  expect_error<UserError>(change([](json& j) { j["blocks"][0]["block"] = 3; }),
                          {"hybrid.json", "found block 3", "0 to 2"});
  expect_error<UserError>(change([](json& j) { j["blocks"].erase(0); }),
                          {"hybrid.safetensors", "2 blocks, expected 1"});
  expect_error<UserError>(change([](json& j) { j["blocks"][0]["attention"]["kind"] = "mamba"; }),
                          {"hybrid.json", "mamba"});
  TempFolder folder;
  save_model(folder.path(), hybrid());
  std::filesystem::remove(folder / "hybrid.safetensors");
  expect_error<UserError>([&] { load_model(folder.path()); }, {"hybrid.safetensors"});
}

TEST(ModelFolder, AFailedSaveLeavesNoWholeFolder) {
  TempFolder folder;
  save_model(folder.path(), hybrid());
  // A folder in the way of the weights stands for any failure in the middle.
  std::filesystem::remove(folder / "hybrid.safetensors");
  std::filesystem::create_directories(folder / "hybrid.safetensors" / "in_the_way");
  EXPECT_ANY_THROW(save_model(folder.path(), hybrid()));
  EXPECT_EQ(model_fingerprint(folder.path()), "");
  expect_error<UserError>([&] { load_model(folder.path()); }, {"config.json"});
}

TEST(ModelFolder, MissingFiles) {
  TempFolder folder;
  expect_error<UserError>([&] { load_model(folder / "absent"); }, {"absent", "no such folder"});
  expect_error<UserError>([&] { load_model(folder.path()); }, {"config.json"});
  save_model(folder.path(), small_wan());
  std::filesystem::remove(folder / kWeights);
  expect_error<UserError>([&] { load_model(folder.path()); }, {"found neither", kWeights, "expected one of them"});
  save_model(folder.path(), small_wan());
  std::filesystem::resize_file(folder / kWeights, 1000);
  expect_error<UserError>([&] { load_model(folder.path()); }, {kWeights});
}

}  // namespace
}  // namespace rehyat::models
