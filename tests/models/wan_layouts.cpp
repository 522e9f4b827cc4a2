#include <gtest/gtest.h>

#include <fstream>
#include <sstream>

#include "core/expect_error.h"
#include "core/fixtures.h"
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

WanTransformer hybrid_of_layouts() {
  WanTransformer model = small_wan();
  convert(model, {{1, testing::every_attention()[1]}}, 3, testing::kLatent);
  return model;
}

void expect_same_model(const WanTransformer& a, const WanTransformer& b) {
  const auto left = a->tensors(Weights::all), right = b->tensors(Weights::all);
  ASSERT_EQ(left.size(), right.size());
  for (std::size_t i = 0; i < left.size(); ++i) {
    EXPECT_EQ(left[i].first, right[i].first);
    EXPECT_TRUE(at::equal(left[i].second, right[i].second)) << left[i].first;
  }
  EXPECT_EQ(a->config(), b->config());
}

/// Where a model of a layout goes inside a folder.
std::filesystem::path place(const TempFolder& folder, WanLayout layout) {
  return layout == WanLayout::comfyui ? folder / "wan.safetensors" : folder / to_string(layout);
}

TEST(WanLayouts, EveryOriginalNameIsThePublishedOne) {
  std::ifstream file(testing::fixtures() / "wan_t2v_1_3B_tensors.tsv");
  std::string line, name, original;
  std::getline(file, line);
  int count = 0;
  while (std::getline(file, line)) {
    std::istringstream columns(line);
    std::getline(columns, name, '\t');
    std::getline(columns, original, '\t');
    EXPECT_EQ(original_name(name), original);
    ++count;
  }
  EXPECT_EQ(count, 825);
}

TEST(WanLayouts, EveryLayoutComesBackBitEqual) {
  for (const WanLayout layout : {WanLayout::diffusers, WanLayout::original, WanLayout::comfyui}) {
    const TempFolder folder;
    for (const bool converted : {true, false}) {
      const WanTransformer model = converted ? hybrid_of_layouts() : small_wan();
      save_model(place(folder, layout), model, {.layout = layout});
      EXPECT_EQ(open_checkpoint(place(folder, layout)).layout, layout);
      EXPECT_EQ(read_wan_config(place(folder, layout)), model->config());
      expect_same_model(load_model(place(folder, layout)), model);
      EXPECT_NE(model_fingerprint(place(folder, layout)), "");
    }
  }
}

TEST(WanLayouts, ASingleFileHasItsHybridPartUnderItsOwnName) {
  const TempFolder folder;
  const WanTransformer converted = hybrid_of_layouts(), plain = small_wan();
  save_model(folder / "a.safetensors", converted, {.layout = WanLayout::comfyui});
  save_model(folder / "b.safetensors", plain, {.layout = WanLayout::comfyui});
  EXPECT_TRUE(std::filesystem::exists(folder / "a.hybrid.json"));
  EXPECT_TRUE(std::filesystem::exists(folder / "a.hybrid.safetensors"));
  expect_same_model(load_model(folder / "a.safetensors"), converted);
  expect_same_model(load_model(folder / "b.safetensors"), plain);
  save_model(folder / "a.safetensors", plain, {.layout = WanLayout::comfyui});
  EXPECT_FALSE(std::filesystem::exists(folder / "a.hybrid.json"));
  expect_error<UserError>([&] { save_model(folder / "c", plain, {.layout = WanLayout::comfyui}); },
                          {"c:", "no .safetensors file"});
}

TEST(WanLayouts, ShardsAreSplitIndexedAndReplaced) {
  for (const WanLayout layout : {WanLayout::diffusers, WanLayout::original}) {
    const TempFolder folder;
    const WanTransformer model = small_wan();
    save_model(folder.path(), model, {.layout = layout, .max_shard_bytes = 20'000});
    EXPECT_FALSE(std::filesystem::exists(folder / "diffusion_pytorch_model.safetensors"));
    const json index = json::parse(read_file(folder / "diffusion_pytorch_model.safetensors.index.json"));
    std::int64_t total = 0;
    for (const auto& item : model->tensors(Weights::teacher)) total += static_cast<std::int64_t>(item.second.nbytes());
    EXPECT_EQ(index["metadata"]["total_size"], total);
    EXPECT_GE(index["weight_map"].size(), 50U);
    EXPECT_TRUE(
        index["weight_map"].contains(layout == WanLayout::original ? "blocks.0.norm3.bias" : "blocks.0.norm2.bias"));
    EXPECT_EQ(index["weight_map"].items().begin().value(),
              "diffusion_pytorch_model-00001-of-" +
                  index["weight_map"].items().begin().value().get<std::string>().substr(33));
    expect_same_model(load_model(folder.path()), model);
    // A later save in one file leaves no shard behind.
    save_model(folder.path(), model, {.layout = layout});
    EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder.path()), {}), 2);
    expect_same_model(load_model(folder.path()), model);
    save_model(folder.path(), model, {.layout = layout, .max_shard_bytes = 1});
    expect_same_model(load_model(folder.path()), model);
  }
}

TEST(WanLayouts, TheIndexMustNameWhatIsThere) {
  const TempFolder folder;
  save_model(folder.path(), small_wan(), {.max_shard_bytes = 20'000});
  const auto path = folder / "diffusion_pytorch_model.safetensors.index.json";
  const json index = json::parse(read_file(path));
  json changed = index;
  changed["weight_map"].erase("proj_out.bias");
  write_file_atomic(path, changed.dump());
  expect_error<UserError>([&] { load_model(folder.path()); }, {"'proj_out.bias'", "expected only those of"});
  changed = index;
  changed["weight_map"]["proj_out.scale"] = index["weight_map"]["proj_out.bias"];
  write_file_atomic(path, changed.dump());
  expect_error<UserError>([&] { load_model(folder.path()); }, {"no tensor 'proj_out.scale'", "index.json says"});
}

TEST(WanLayouts, EveryTypeIsReadAndKeptWhenAsked) {
  for (const WanLayout layout : {WanLayout::diffusers, WanLayout::original, WanLayout::comfyui}) {
    for (const at::ScalarType type : {at::kBFloat16, at::kHalf, at::kFloat, at::kDouble}) {
      const TempFolder folder;
      WanTransformer model = hybrid_of_layouts();
      save_model(place(folder, layout), model, {.layout = layout, .type = type});
      const WanTransformer kept = load_model(place(folder, layout), {.type = std::nullopt}),
                           masters = load_model(place(folder, layout));
      const auto base = model->tensors(Weights::teacher), stored = kept->tensors(Weights::teacher),
                 wide = masters->tensors(Weights::teacher);
      for (std::size_t i = 0; i < base.size(); ++i) {
        EXPECT_EQ(stored[i].second.scalar_type(), type);
        EXPECT_EQ(wide[i].second.scalar_type(), at::kFloat);
        EXPECT_TRUE(at::equal(stored[i].second, base[i].second.to(type))) << base[i].first;
        EXPECT_TRUE(at::equal(wide[i].second, stored[i].second.to(at::kFloat))) << base[i].first;
      }
      for (const auto& item : kept->tensors(Weights::feature_maps)) EXPECT_EQ(item.second.scalar_type(), at::kFloat);
    }
  }
}

TEST(WanLayouts, AModelInHalfPrecisionRunsLikeItsMasters) {
  const TempFolder folder;
  save_model(folder.path(), hybrid_of_layouts(), at::kBFloat16);
  WanTransformer kept = load_model(folder.path(), {.type = std::nullopt}), masters = load_model(folder.path());
  const auto in = wan_inputs();
  for (const at::ScalarType compute : {at::kFloat, at::kBFloat16}) {
    const ForwardOptions options{.compute = compute};
    EXPECT_TRUE(at::equal(run(kept, in, options), run(masters, in, options))) << compute;
  }
}

TEST(WanLayouts, WeightsBeyondFloat16AreRefused) {
  const TempFolder folder;
  WanTransformer model = small_wan();
  const at::NoGradGuard no_grad;
  model->tensors(Weights::teacher).front().second.view(-1)[0] = 1e5;
  expect_error<UserError>([&] { save_model(folder.path(), model, at::kHalf); }, {"65504", "bf16"});
}

/// Writes the model's tensors under the names that `rename` makes of the original ones.
void write_single(const std::filesystem::path& path, const WanTransformer& model, const std::string& prefix,
                  const safetensors::Metadata& metadata, const NamedTensors& more = {}) {
  NamedTensors tensors;
  for (const auto& [name, tensor] : model->tensors(Weights::teacher))
    tensors.emplace_back(prefix + original_name(name), tensor);
  tensors.insert(tensors.end(), more.begin(), more.end());
  write_tensors(path, tensors, metadata);
}

TEST(WanSingleFile, ItsConfigComesFromItsShapes) {
  const TempFolder folder;
  WanConfig config = testing::small_config(2);
  config.dim = 256;
  config.heads = 2;
  config.text_length = 512;
  WanTransformer model(config);
  model->initialize(5);
  for (const char* prefix : {"", "model.diffusion_model."}) {
    write_single(folder / "x.safetensors", model, prefix, {});
    expect_same_model(load_model(folder / "x.safetensors"), model);
  }
}

TEST(WanSingleFile, ItsMetadataMaySayMore) {
  const TempFolder folder;
  WanConfig config = testing::small_config();
  config.eps = 1e-5;
  config.text_length = 512;
  WanTransformer model(config);
  model->initialize(5);
  const auto path = folder / "x.safetensors";
  write_single(path, model, "", {{"num_heads", "2"}, {"eps", "1e-5"}});
  EXPECT_EQ(load_model(path)->config(), config);
  write_single(path, model, "", {{"config", R"({"transformer": {"num_heads": 2, "eps": 1e-05}})"}});
  EXPECT_EQ(load_model(path)->config(), config);
  write_single(path, model, "", {});
  expect_error<UserError>([&] { load_model(path); },
                          {"x.safetensors", "a width of 24", "multiple of 128", "num_heads"});
  write_single(path, model, "", {{"config", "{"}});
  expect_error<UserError>([&] { load_model(path); }, {"metadata 'config'", "expected JSON"});
}

TEST(WanSingleFile, OnlyTheTransformerOfAWholeCheckpointIsRead) {
  const TempFolder folder;
  const WanTransformer model = small_wan();
  const auto path = folder / "x.safetensors";
  const std::string prefix = "model.diffusion_model.";
  const safetensors::Metadata says = {{"num_heads", "2"}, {"text_len", "5"}};
  write_single(path, model, prefix, says, {{"vae.conv1.weight", at::ones({2})}, {"text_encoders.a", at::ones({3})}});
  expect_same_model(load_model(path), model);
  write_single(path, model, prefix, says, {{"something.else", at::ones({2})}});
  expect_error<UserError>([&] { load_model(path); }, {"'something.else'", "only tensors of the model"});
}

TEST(WanSingleFile, RefusesOtherModels) {
  const TempFolder folder;
  const WanTransformer model = small_wan();
  const auto path = folder / "x.safetensors";
  const safetensors::Metadata says = {{"num_heads", "2"}};
  for (const char* name : {"img_emb.proj.0.bias", "blocks.0.cross_attn.k_img.weight", "vace_blocks.0.modulation",
                           "control_adapter.conv.weight"}) {
    write_single(path, model, "", says, {{name, at::ones({2})}});
    expect_error<UserError>([&] { load_model(path); }, {"x.safetensors", name, "more than text", "T2V"});
  }
  save_model(folder / "folder", model);
  expect_error<UserError>([&] { load_model(folder / "folder" / "diffusion_pytorch_model.safetensors"); },
                          {"'head.head.weight'", "diffusers' names", "give the folder"});
}

TEST(WanConfigs, ThePublishedOnesAreRead) {
  // The 1.3B model as both repositories describe it, and the 14B model.
  const json original = json::parse(R"({"_class_name": "WanModel", "_diffusers_version": "0.30.0", "dim": 1536,
    "eps": 1e-06, "ffn_dim": 8960, "freq_dim": 256, "in_dim": 16, "model_type": "t2v", "num_heads": 12,
    "num_layers": 30, "out_dim": 16, "text_len": 512})");
  EXPECT_EQ(from_original_json(original, "here"), WanConfig());
  json diffusers = json::parse(R"({"_class_name": "WanTransformer3DModel", "_diffusers_version": "0.33.0.dev0",
    "added_kv_proj_dim": null, "attention_head_dim": 128, "cross_attn_norm": true, "eps": 1e-06, "ffn_dim": 8960,
    "freq_dim": 256, "image_dim": null, "in_channels": 16, "num_attention_heads": 12, "num_layers": 30,
    "out_channels": 16, "patch_size": [1, 2, 2], "pos_embed_seq_len": null, "qk_norm": "rms_norm_across_heads",
    "rope_max_seq_len": 1024, "text_dim": 4096})");
  EXPECT_EQ(from_diffusers_json(diffusers, "here"), WanConfig());
  diffusers["num_attention_heads"] = 40;
  diffusers["num_layers"] = 40;
  diffusers["ffn_dim"] = 13824;
  const WanConfig large = from_diffusers_json(diffusers, "here");
  EXPECT_EQ(large.dim, 5120);
  json same = original;
  same.update(json{{"dim", 5120}, {"ffn_dim", 13824}, {"num_heads", 40}, {"num_layers", 40}});
  EXPECT_EQ(from_original_json(same, "here"), large);
  EXPECT_EQ(from_original_json(to_original_json(large), "here"), large);
  EXPECT_EQ(from_original_json(to_original_json(testing::small_config()), "here"), testing::small_config());
  EXPECT_FALSE(to_original_json(large).contains("patch_size"));
}

TEST(WanConfigs, OtherModelsAreRefused) {
  const auto original = [](const char* key, const json& value) {
    return [=] {
      json j = to_original_json(WanConfig());
      j[key] = value;
      from_original_json(j, "c.json");
    };
  };
  const auto diffusers = [](const char* key, const json& value) {
    return [=] {
      json j = to_diffusers_json(WanConfig());
      j[key] = value;
      from_diffusers_json(j, "c.json");
    };
  };
  const std::string only = "only text-to-video transformers";
  expect_error<UserError>(original("model_type", "i2v"), {"c.json", "model_type \"i2v\"", "\"t2v\"", only});
  expect_error<UserError>(original("_class_name", "VaceWanModel"), {"VaceWanModel", only});
  expect_error<UserError>(original("in_dim", 36), {"36 channels in and 16 out", only});
  expect_error<UserError>(original("vace_layers", {0, 5}), {"vace_layers [0,5]", only});
  expect_error<UserError>(original("window_size", {4, 4}), {"window_size [4,4]"});
  expect_error<UserError>(original("qk_norm", false), {"qk_norm false", "expected true"});
  expect_error<UserError>(original("num_heads", 7), {"c.json", "dim 1536 and 7 heads"});
  expect_error<UserError>(diffusers("_class_name", "WanVACETransformer3DModel"), {"WanVACETransformer3DModel", only});
  expect_error<UserError>(diffusers("image_dim", 1280), {"image_dim 1280", "expected null", only});
  expect_error<UserError>(diffusers("in_channels", 36), {"36 channels in", only});
  expect_error<UserError>(diffusers("vace_layers", {0}), {"vace_layers", only});
  EXPECT_NO_THROW(diffusers("a_later_setting", nullptr)());
  EXPECT_NO_THROW(diffusers("a_later_setting", false)());
}

}  // namespace
}  // namespace rehyat::models
