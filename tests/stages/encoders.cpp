#include "stages/encoders.h"

#include <gtest/gtest.h>

#include "core/expect_error.h"
#include "core/fixtures.h"
#include "core/rng.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "models/model_registry.h"
#include "models/wan/config.h"
#include "models/wan/vae_weights.h"
#include "tensor/random.h"

namespace rehyat::stages {
namespace {

using testing::expect_error;

/// The encoders of a whole tiny pipeline of diffusers.
class PublishedEncoders : public ::testing::Test {
 protected:
  RunEncoders encoders(const std::string& settings) const {
    const ModelConfig model = config::load<ModelConfig>(config::Document::from_text(settings, "model.yaml"));
    const models::ModelRegistry known = models::known_models();
    const models::ModelFiles files = known.find(fixture_);
    return make_encoders(
        model, files, known.read_architecture(files.transformer), known.encoders(), [] { return at::Device(at::kCPU); },
        notes_);
  }
  at::Tensor latents(const std::string& settings) const { return encoders(settings).codec->encode(video_); }
  std::string codec(const std::string& settings) const { return encoders(settings).codec->fingerprint(); }
  std::string text(const std::string& settings) const { return encoders(settings).text->fingerprint(); }
  double difference(const at::Tensor& a, const at::Tensor& b) const {
    return ((a - b).abs().max() / b.abs().max()).item<double>();
  }

  static at::Tensor some_video() {
    Rng rng(1, "test.video");
    return rand(rng, {3, 5, 32, 48}) * 2 - 1;
  }
  const std::filesystem::path fixture_ = testing::fixtures() / "pipeline/model";
  const testing::TempFolder folder_;
  mutable InputNotes notes_{folder_.path()};
  const at::Tensor video_ = some_video();
};

TEST_F(PublishedEncoders, TheVaesSettingsReachIt) {
  const at::Tensor plain = latents("{}");
  EXPECT_TRUE(at::equal(latents("vae_precision: f32"), plain));
  const double rounded = difference(latents("vae_precision: bf16"), plain);
  EXPECT_GT(rounded, 0);
  EXPECT_LT(rounded, 0.1);
  // Tiles that hold the whole frame are the whole; smaller ones miss what lies beyond their edges.
  EXPECT_TRUE(at::equal(latents("vae_tiling: { tile_height: 32, tile_width: 48, stride_height: 32, stride_width: 48 }"),
                        plain));
  const char* tiles = "vae_tiling: { tile_height: 32, tile_width: 32, stride_height: 32, stride_width: 16 }";
  const double error = difference(latents(tiles), plain);
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.5);
  EXPECT_TRUE(at::equal(latents("vae_tiling: { tile_height: 32, tile_width: 32, stride_height: 32, stride_width: 16, "
                                "offload: true }"),
                        latents(tiles)));
}

TEST_F(PublishedEncoders, TheVaesWeightsAreHeldInTheirType) {
  // The fixture's own weights are bfloat16 numbers, which that type would not change.
  const models::WanVae vae = models::load_vae(fixture_ / "vae");
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : vae->tensors()) at::Tensor(tensor).mul_(1.001);
  models::save_vae(folder_ / "vae", vae);
  const std::string elsewhere = cat("vae: ", (folder_ / "vae").string());
  const double error = difference(latents(elsewhere + "\nvae_weights_precision: bf16"), latents(elsewhere));
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.1);
}

TEST_F(PublishedEncoders, AnotherTypeOrTileIsAnotherDataset) {
  const std::string plain = codec("{}"), tiled = codec("vae_tiling: {}");
  EXPECT_EQ(codec("vae_precision: f32"), plain);
  EXPECT_NE(codec("vae_precision: bf16"), plain);
  EXPECT_NE(codec("vae_weights_precision: bf16"), plain);
  EXPECT_NE(codec("vae_weights_precision: bf16"), codec("vae_precision: bf16"));
  EXPECT_NE(tiled, plain);
  EXPECT_EQ(codec("vae_tiling: { offload: true }"), tiled);  // only where the memory of the tiles waits
  EXPECT_NE(codec("vae_tiling: { tile_width: 320 }"), tiled);
  EXPECT_NE(text("text_precision: bf16"), text("{}"));
  EXPECT_NE(text("text_precision: bf16"), text("text_precision: f32"));
}

TEST_F(PublishedEncoders, TheTextEncodersTypeReachesIt) {
  const auto embedding = [&](const std::string& settings) { return encoders(settings).text->encode({"a red ball"}); };
  const double error = difference(embedding("text_precision: bf16"), embedding("text_precision: f32"));
  EXPECT_GT(error, 0);
  EXPECT_LT(error, 0.1);
}

TEST_F(PublishedEncoders, AreLoadedAgainAfterTheyWereLetGo) {
  const RunEncoders made = encoders("{}");
  const at::Tensor latents = made.codec->encode(video_), embedding = made.text->encode({"a red ball"});
  made.codec->release();
  made.text->release();
  EXPECT_TRUE(at::equal(made.codec->encode(video_), latents));
  EXPECT_TRUE(at::equal(made.text->encode({"a red ball"}), embedding));
}

TEST_F(PublishedEncoders, SettingsThatCannotBeAreRefused) {
  expect_error<UserError>([&] { encoders("vae_tiling: { tile_height: 100 }"); },
                          {"tile_height: found 100, expected a multiple of 8"});
  expect_error<UserError>([&] { encoders("vae_tiling: { stride_width: 320 }"); },
                          {"stride_width: found 320, expected at most tile_width, 256"});
  expect_error<UsageError>([&] { encoders("vae_precision: f64"); }, {"vae_precision", "f64", "f32, bf16"});
  expect_error<UsageError>([&] { encoders("{ encoders: embedded, vae_precision: bf16 }"); },
                           {"'vae_precision'", "without model.encoders=embedded"});
}

TEST(EmbeddedEncoders, HaveNoneOfTheVaesSettings) {
  const auto refused = [](const std::string& settings, const std::string& key) {
    const ModelConfig model = config::load<ModelConfig>(config::Document::from_text(settings, "model.yaml"));
    InputNotes notes("nowhere");
    expect_error<UserError>(
        [&] {
          make_encoders(
              model, {}, models::WanConfig().architecture(), models::known_encoders(),
              [] { return at::Device(at::kCPU); }, notes);
        },
        {key, "the embedded ones"});
  };
  refused("vae_precision: bf16", "model.vae_precision");
  refused("vae_weights_precision: bf16", "model.vae_weights_precision");
  refused("vae_tiling: {}", "model.vae_tiling");
  refused("text_precision: f32", "model.text_precision");
}

}  // namespace
}  // namespace rehyat::stages
