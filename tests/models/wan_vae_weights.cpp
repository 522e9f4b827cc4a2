#include <fstream>
#include <map>
#include <sstream>

#include "core/expect_error.h"
#include "core/fixtures.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "models/small_vae.h"

namespace rehyat::models {
namespace {

using testing::expect_error;
using testing::small_vae;
using testing::TempFolder;
using testing::vae_fixture;
using json = nlohmann::ordered_json;
constexpr const char* kWeights = "diffusion_pytorch_model.safetensors";

/// The rows below the titles of a table of two columns.
std::map<std::string, std::string> table(const std::filesystem::path& path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  std::map<std::string, std::string> out;
  while (std::getline(file, line)) {
    const auto tab = line.find('\t');
    out[line.substr(0, tab)] = line.substr(tab + 1);
  }
  return out;
}

const std::filesystem::path kPublished = testing::fixtures() / "wan_vae_tensors.tsv";

TEST(VaeNames, ThePublishedSizesHaveThePublishedTensors) {
  std::map<std::string, std::string> found;
  // Shapes without memory.
  const WanVae published(VaeConfig(), VaeOptions{.device = at::kMeta});
  for (const auto& [name, tensor] : published->tensors()) found[name] = shape_string(tensor.sizes().vec());
  EXPECT_EQ(found.size(), 194U);
  EXPECT_EQ(found, table(kPublished));
}

TEST(VaeNames, TheOriginalNamesLeadToDiffusers) {
  const auto names = table(vae_fixture("original_names.tsv"));
  const auto published = table(kPublished);
  ASSERT_EQ(names.size(), published.size());
  for (const auto& [original, name] : names) {
    EXPECT_EQ(diffusers_vae_name(original, 2), name);
    EXPECT_TRUE(published.contains(name)) << name;
  }
  // Stages of the decoder are counted by their blocks.
  EXPECT_EQ(diffusers_vae_name("decoder.upsamples.5.time_conv.bias", 1),
            "decoder.up_blocks.1.upsamplers.0.time_conv.bias");
  for (const char* name :
       {"conv3.bias", "decoder.upsamples.x.residual.0.gamma", "decoder.upsamples.3", "model.conv1.bias"})
    EXPECT_EQ(diffusers_vae_name(name, 2), "") << name;
}

TEST(VaeWeights, SurviveTheRoundTrip) {
  const WanVae vae = small_vae({.weights = at::kBFloat16});
  TempFolder folder;
  save_vae(folder.path(), vae);
  const WanVae again = load_vae(folder.path());
  EXPECT_EQ(again->config(), vae->config());
  const auto a = vae->tensors(), b = again->tensors();
  ASSERT_EQ(a.size(), b.size());
  for (std::size_t i = 0; i < a.size(); ++i) {
    EXPECT_EQ(a[i].first, b[i].first);
    EXPECT_TRUE(at::equal(a[i].second.to(at::kFloat), b[i].second)) << a[i].first;
  }
  EXPECT_EQ(vae_checksum(small_vae()), vae_checksum(again));
}

/// Loads the small model with some of its tensors changed.
void load_changed(const std::function<void(NamedTensors&)>& change) {
  TempFolder folder;
  NamedTensors tensors;
  const WanVae vae = small_vae();
  for (const auto& [name, tensor] : vae->tensors()) tensors.emplace_back(name, tensor.clone());
  change(tensors);
  save_vae(folder.path(), vae);
  write_tensors(folder / kWeights, tensors);
  load_vae(folder.path());
}

TEST(VaeWeights, RefusesWhatIsMissingLeftOverOrMisshapen) {
  expect_error<UserError>([] { load_changed([](NamedTensors& t) { t.pop_back(); }); },
                          {"found no tensor", "quant_conv"});
  expect_error<UserError>(
      [] { load_changed([](NamedTensors& t) { t.emplace_back("decoder.extra", at::zeros({1})); }); },
      {kWeights, "decoder.extra"});
  expect_error<UserError>([] { load_changed([](NamedTensors& t) { t[0].second = at::zeros({7}); }); },
                          {kWeights, "decoder.conv_in.bias", "[7]", "[12]"});
  expect_error<UserError>([] { load_changed([](NamedTensors& t) { t[3].second.fill_(NAN); }); }, {kWeights, "NaN"});
  expect_error<UserError>([] { load_changed([](NamedTensors& t) { t[3].second = t[3].second.to(at::kLong); }); },
                          {kWeights, "floating"});
}

TEST(VaeWeights, AFileOfTorchIsReadAndNeverRun) {
  const std::filesystem::path pth = testing::fixtures() / "text" / "pth";
  expect_error<UserError>([&] { load_vae(pth / "plain.pth"); }, {"plain.pth", "'"});
  expect_error<UserError>([&] { load_vae(pth / "evil.pth"); }, {"evil.pth", "nothing of the file was run"});
}

TEST(VaeWeights, RefusesOtherFolders) {
  expect_error<UserError>([] { load_vae("/no/such/vae"); }, {"/no/such/vae", "check the path"});
  TempFolder folder;
  expect_error<UserError>([&] { load_vae(folder.path()); }, {"config.json", "give its folder"});
  write_file_atomic(folder / "config.json", "[1]");
  expect_error<UserError>([&] { load_vae(folder.path()); }, {"config.json", "JSON that is no object"});
  write_file_atomic(folder / "config.json", to_diffusers_json(VaeConfig()).dump());
  expect_error<UserError>([&] { load_vae(folder.path()); }, {kWeights, "expected one of them"});
  // A single file has the published sizes.
  expect_error<UserError>([] { load_vae(vae_fixture("original/Wan2.1_VAE.safetensors")); }, {"shape", "expected"});
}

/// Found by tests/mutation: they were allocated before the weights were looked at.
TEST(VaeWeights, RefusesSizesFarBeyondItsWeights) {
  TempFolder folder;
  const WanVae vae = small_vae();
  save_vae(folder.path(), vae);
  const auto expect_refused = [&](const std::function<void(VaeConfig&)>& change) {
    VaeConfig large = vae->config();
    change(large);
    write_file_atomic(folder / "config.json", to_diffusers_json(large).dump());
    expect_error<UserError>([&] { load_vae(folder.path()); }, {"config.json", "found sizes of a model of"});
  };
  expect_refused([](VaeConfig& c) { c.base_dim = c.decoder_base_dim = 1 << 14; });
  expect_refused([](VaeConfig& c) { c.z_dim = 1 << 16; });
  expect_refused([](VaeConfig& c) { c.in_channels = c.out_channels = 1 << 16; });
}

TEST(VaeConfigJson, SurvivesTheRoundTrip) {
  EXPECT_EQ(vae_config_from_json(to_diffusers_json(VaeConfig()), "here"), VaeConfig());
  const VaeConfig small = small_vae()->config();
  EXPECT_EQ(vae_config_from_json(to_diffusers_json(small), "here"), small);
  // The published file lacks the keys that came with Wan2.2.
  json old = to_diffusers_json(VaeConfig());
  for (const char* key : {"decoder_base_dim", "in_channels", "is_residual", "out_channels", "patch_size",
                          "scale_factor_spatial", "scale_factor_temporal"})
    old.erase(key);
  EXPECT_EQ(vae_config_from_json(old, "here"), VaeConfig());
  old["base_dim"] = 160;
  EXPECT_EQ(vae_config_from_json(old, "here").decoder_base_dim, 160);
}

TEST(VaeConfigJson, RefusesWhatCannotBeRun) {
  const auto refuse = [](const char* key, const json& value, const std::vector<std::string>& parts) {
    json changed = to_diffusers_json(VaeConfig());
    changed[key] = value;
    expect_error<UserError>([&] { vae_config_from_json(changed, "here"); }, parts);
  };
  refuse("is_residual", true, {"here", "is_residual", "true", "Wan2.2"});
  refuse("patch_size", 2, {"patch_size 2", "Wan2.2"});
  refuse("_class_name", "WanTransformer3DModel", {"WanTransformer3DModel", "AutoencoderKLWan"});
  refuse("base_dim", 0, {"base_dim 0", "whole number"});
  refuse("base_dim", "96", {"base_dim \"96\""});
  refuse("dim_mult", json::array(), {"stages", "0"});
  refuse("dim_mult", {1, 2, 4}, {"3 values of temperal_downsample", "3 of dim_mult"});
  refuse("dim_mult", {1, 2, 4, 1'000}, {"channels of a stage"});
  refuse("temperal_downsample", {true, true, true}, {"stride of 8", "at most 4"});
  refuse("temperal_downsample", {0, 1, 1}, {"temperal_downsample [0,1,1]", "true and false"});
  refuse("latents_std", {1.0, 0.0}, {"latents_std", "above 0"});
  refuse("latent_mean", {1.0}, {"unknown key 'latent_mean'", "'latents_mean'"});
}

}  // namespace
}  // namespace rehyat::models
