#include <gtest/gtest.h>

#include <fstream>

#include "core/expect_error.h"
#include "core/fixtures.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "models/model_registry.h"
#include "models/wan/encoders.h"

/// What is known of published models before their files are here.
namespace rehyat::models {
namespace {

using rehyat::testing::expect_error;
using rehyat::testing::TempFolder;

std::int64_t parameters(const Architecture& model) {
  return model.layers * model.block.parameters + model.outside.parameters;
}

TEST(Published, ArchitecturesHaveTheSizesOfThePublishedFiles) {
  const ModelRegistry families = known_models();
  const Architecture small = families.published("wan2.1-t2v-1.3b").architecture;
  const Architecture large = families.published("wan2.1-t2v-14b").architecture;
  EXPECT_EQ(parameters(small), 1'418'996'800);
  EXPECT_EQ(parameters(large), 14'288'491'584);
  EXPECT_EQ(large.head_width(), 128);
  EXPECT_EQ(large.text_width, small.text_width);
  for (const std::string& name : families.published_names())
    families.encoders().named(families.published(name).encoders);
}

TEST(Published, AnUnknownNameIsRefusedWithTheKnownOnes) {
  expect_error<UserError>([] { known_models().published("Wan2.1-T2V-1B"); },
                          {"model.published", "wan2.1-t2v-1.3b, wan2.1-t2v-14b", "did you mean wan2.1-t2v-1"});
}

TEST(Published, PathsNameThem) {
  const ModelRegistry families = known_models();
  const auto name = [&](const char* path) {
    const auto found = families.published_as(path);
    return found ? found->name : "";
  };
  EXPECT_EQ(name("weights/Wan2.1-T2V-1.3B-Diffusers"), "wan2.1-t2v-1.3b");
  EXPECT_EQ(name("wan2.1_t2v_14B_fp16.safetensors"), "wan2.1-t2v-14b");
  EXPECT_EQ(name("models--Wan-AI--Wan2.1-T2V-14B/snapshots/0123"), "wan2.1-t2v-14b");
  EXPECT_EQ(name("weights/Wan2.1-I2V-14B-480P"), "");
  EXPECT_EQ(name("runs/teacher"), "");
}

TEST(Published, SizesCanBeReadOnceTheConfigIsThere) {
  const ModelRegistry families = known_models();
  const TempFolder folder;
  EXPECT_FALSE(families.has_architecture(folder / "nothing"));
  EXPECT_FALSE(families.has_architecture(folder.path()));
  // A download that has brought the pipeline's index alone.
  std::filesystem::copy_file(testing::fixtures() / "pipeline/model/model_index.json", folder / "model_index.json");
  EXPECT_FALSE(families.has_architecture(folder.path()));
  make_folder(folder / "transformer");
  EXPECT_FALSE(families.has_architecture(folder.path()));
  std::ofstream(folder / "transformer/config.json") << "{}";
  EXPECT_TRUE(families.has_architecture(folder.path()));
  EXPECT_TRUE(families.has_architecture(testing::fixtures() / "pipeline/model/transformer"));
}

TEST(Published, EncodersThatAreMissingAreNamedAndAssumed) {
  const WanEncoders encoders;
  const std::filesystem::path model = testing::fixtures() / "pipeline/model";
  EXPECT_TRUE(encoders.missing({model / "vae", model}).empty());
  EXPECT_EQ(encoders.missing({}), (std::vector<std::string>{"the VAE (model.vae)", "the text encoder (model.text)"}));
  EXPECT_EQ(encoders.missing({"gone/vae", model}), (std::vector<std::string>{"the VAE (model.vae, gone/vae)"}));
  EncoderRequest request;
  request.model = known_models().published("wan2.1-t2v-1.3b").architecture;
  const Encoders assumed = encoders.assume(request);
  EXPECT_EQ(assumed.codec->geometry(), encoders.published_geometry());
  expect_error<UserError>([&] { assumed.codec->encode(at::zeros({3, 5, 16, 16})); }, {"model.vae", "no files"});
  expect_error<UserError>([&] { assumed.text->encode({"a dog"}); }, {"model.text", "no files"});
}

TEST(Published, AModelIsMadeOfItsSettings) {
  const ModelRegistry known = known_models();
  for (const std::string& name : known.published_names()) {
    const PublishedArchitecture model = known.published(name);
    const ModelFamily& family = known.named(model.architecture.family);
    EXPECT_EQ(family.architecture(model.settings), model.architecture) << name;
    EXPECT_EQ(family.architecture(family.with_layers(model.settings, 2)).layers, 2) << name;
  }
}

}  // namespace
}  // namespace rehyat::models
