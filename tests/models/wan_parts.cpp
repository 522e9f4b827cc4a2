#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "models/wan/encoders.h"
#include "models/wan/pipeline_files.h"

namespace rehyat::models {
namespace {

using testing::expect_error;

class WanParts : public ::testing::Test {
 protected:
  void file(const std::string& name, const std::string& content = "x") const {
    make_folder((folder_ / name).parent_path());
    write_file_atomic(folder_ / name, content);
  }
  void pipeline() const {
    file("model_index.json", R"({"_class_name": "WanPipeline"})");
    for (const char* part : {"transformer", "vae", "text_encoder", "tokenizer"}) make_folder(folder_ / part);
  }
  void original() const {
    for (const char* name : {"config.json", "diffusion_pytorch_model.safetensors", "Wan2.1_VAE.pth",
                             "models_t5_umt5-xxl-enc-bf16.pth", "google/umt5-xxl/spiece.model"})
      file(name);
  }

  const testing::TempFolder folder_;
};

TEST_F(WanParts, EitherLayoutAloneIsFound) {
  pipeline();
  ModelFiles files = find_wan(folder_.path());
  EXPECT_EQ(files.transformer, folder_ / "transformer");
  EXPECT_EQ(files.vae, folder_ / "vae");
  EXPECT_EQ(files.text, folder_.path());
  EXPECT_EQ(files.vae_doubt + files.text_doubt, "");
  for (const auto& entry : std::filesystem::directory_iterator(folder_.path())) std::filesystem::remove_all(entry);
  original();
  files = find_wan(folder_.path());
  EXPECT_EQ(files.transformer, folder_.path());
  EXPECT_EQ(files.vae, folder_ / "Wan2.1_VAE.pth");
  EXPECT_EQ(files.text, folder_.path());
}

TEST_F(WanParts, AnOldSingleFileBesideAnIndexIsNoOtherLayout) {
  original();
  file("diffusion_pytorch_model.safetensors.index.json");
  EXPECT_EQ(find_wan(folder_.path()).transformer, folder_.path());
}

TEST_F(WanParts, TransformersOfBothLayoutsAreRefused) {
  pipeline();
  original();
  expect_error<UserError>([&] { find_wan(folder_.path()); },
                          {folder_.path().string(), "transformer and diffusion_pytorch_model.safetensors",
                           "model.weights=FOLDER/transformer"});
  std::filesystem::remove(folder_ / "model_index.json");
  expect_error<UserError>([&] { find_wan(folder_.path()); }, {"transformer and diffusion_pytorch_model.safetensors"});
}

TEST_F(WanParts, TwoVaesOrTextEncodersAreADoubtForWhoeverNeedsThem) {
  pipeline();
  original();
  std::filesystem::remove(folder_ / "diffusion_pytorch_model.safetensors");
  const ModelFiles files = find_wan(folder_.path());
  EXPECT_EQ(files.transformer, folder_ / "transformer");
  EXPECT_TRUE(files.vae.empty());
  EXPECT_NE(files.vae_doubt.find("vae and Wan2.1_VAE.pth"), std::string::npos) << files.vae_doubt;
  EXPECT_NE(files.vae_doubt.find("model.vae"), std::string::npos) << files.vae_doubt;
  EXPECT_NE(files.text_doubt.find("text_encoder and google/umt5-xxl"), std::string::npos) << files.text_doubt;
  EncoderRequest request;
  request.files.doubt = files.vae_doubt;
  const WanEncoders wan;
  EXPECT_TRUE(wan.has_files(request.files));  // else the embedded encoders would be taken in silence
  expect_error<UserError>([&] { wan.open(request); }, {"vae and Wan2.1_VAE.pth", "the VAE", "model.vae"});
}

TEST_F(WanParts, TwoContainersOfTheOriginalVaeAreADoubt) {
  original();
  file("Wan2.1_VAE.safetensors");
  EXPECT_NE(find_wan(folder_.path()).vae_doubt.find("Wan2.1_VAE.pth and Wan2.1_VAE.safetensors"), std::string::npos);
}

}  // namespace
}  // namespace rehyat::models
