#include <gtest/gtest.h>

#include "core/expect_error.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "data/video/video.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "models/toy_transformer.h"
#include "models/wan/family.h"
#include "stages/registry.h"
#include "stages/runner.h"
#include "tensor/io.h"
#include "tensor/random.h"

/// The program's own stages on a family of models that src/ does not name: other blocks, another patch, other strides.
namespace rehyat::stages {
namespace {

using testing::TempFolder;
using json = nlohmann::ordered_json;

/// What a program says that knows the toy beside its own families.
models::ModelRegistry families() {
  return models::ModelRegistry({std::make_shared<models::WanFamily>(), std::make_shared<testing::ToyFamily>()},
                               models::EncoderRegistry({std::make_shared<testing::ToyEncoders>()}));
}

class SecondModelStages : public ::testing::Test {
 protected:
  void SetUp() override {
    make_folder(clips_);
    for (std::uint64_t i = 0; i < 6; ++i) {
      Rng rng(1, "test.toy.clip", {i});
      const at::Tensor from = rand(rng, {1, 24, 48, 3}), to = rand(rng, {1, 24, 48, 3});
      const at::Tensor weight = at::linspace(0, 1, 11).view({11, 1, 1, 1});
      const at::Tensor frames = ((from + (to - from) * weight) * 255).to(at::kByte).contiguous();
      data::write_video(clips_ / cat("clip-", i, ".mp4"), frames, 16);
      write_file_atomic(clips_ / cat("clip-", i, ".txt"), cat("clip number ", i));
    }
  }

  std::unique_ptr<stages::Run> run(const std::string& model) {
    const std::string text = cat(
        "run: { dir: ", (folder_ / "run").string(), ", seed: 3, threads: 1, device: cpu }\n", "model: { ", model,
        ", encoders: toy }\n",
        "hybrid: { attention: { kind: rehyat, tc: 2, to: 1 } }\n"
        "data: { videos: ",
        clips_.string(),
        ", size: [24, 48], frames: 11, fps: 16, validation_share: 0.34, clips_per_shard: 2 }\n"
        "pretrain: { iterations: 6, lr: 2.0e-3, warmup: 2, global_batch: 2, micro_batch: 1, validation_samples: 2 }\n"
        "cache: { sampler: { steps: 3, shift: 1.0 }, guidance: 2.0, keep_per_trajectory: 2, validation_share: 0.3, "
        "dtype: f32, quota: 100MB }\n"
        "distill: { iterations: 6, lr: 2.0e-3, warmup: 2, validation_samples: 2 }\n"
        "finetune: { iterations: 4, lr: 5.0e-4, warmup: 1, global_batch: 2, micro_batch: 1, validation_samples: 2 }\n"
        "sample: { prompts: [a clip], sampler: { kind: unipc, steps: 3, shift: 1.0 }, guidance: 2.0, form: recurrent "
        "}\n");
    auto config = config::load<ExperimentConfig>(config::Document::from_text(text, "toy.yaml"));
    return std::make_unique<stages::Run>(std::move(config), world_, stages_, families_);
  }

  TempFolder folder_;
  const std::filesystem::path clips_ = folder_ / "clips";
  comm::Communicator world_;
  const Registry stages_ = builtin_stages();
  const models::ModelRegistry families_ = families();
};

constexpr const char* kNew = "family: toy, architecture: { width: 24, depth: 3 }";
constexpr const char* kThickTokens = "family: toy, architecture: { width: 24, depth: 3, patch_slices: 2 }";

/// With a new model of either patch.
class SecondModelRuns : public SecondModelStages, public ::testing::WithParamInterface<const char*> {};
INSTANTIATE_TEST_SUITE_P(Patches, SecondModelRuns, ::testing::Values(kNew, kThickTokens));

TEST_P(SecondModelRuns, EveryStage) {
  const auto whole = run(GetParam());
  json result;
  for (const char* stage : {"prepare", "pretrain", "cache", "distill", "finetune", "sample"})
    result = run_stage(*whole, stages_.at(stage));
  // 11 frames of 24 x 48 pixels are 6 slices of 6 x 6 values in 6 channels.
  EXPECT_EQ(whole->models().latent(), (std::vector<std::int64_t>{6, 6, 6}));
  const std::filesystem::path sampled = whole->folder("sample").folder();
  const safetensors::Reader latents(sampled / "video-0.safetensors");
  EXPECT_EQ(latents.at("latents").shape, (std::vector<std::int64_t>{6, 6, 6, 6}));
  EXPECT_TRUE(std::filesystem::exists(sampled / "video-0.mp4"));
  const json settings = read_json_object(sampled / "video-0.json");
  EXPECT_EQ(settings.at("order"), "chunk-major");

  const json verified = run_stage(*whole, stages_.at("verify"));
  EXPECT_TRUE(verified.at("reload_equal").get<bool>());
  EXPECT_LE(verified.at("max_rel_error").get<double>(), 1e-9);
}

TEST_F(SecondModelStages, ATeacherIsOpenedByWhatItsFilesAre) {
  models::VideoTransformer teacher = testing::ToyFamily().make(json::object());
  teacher->initialize(1);
  families_.save(folder_ / "teacher", teacher);
  const auto opened = run(cat("weights: ", (folder_ / "teacher").string()));
  EXPECT_EQ(opened->models().architecture(), teacher->architecture());
  EXPECT_EQ(opened->models().family().name(), "toy");
  for (const char* stage : {"prepare", "cache", "distill"}) run_stage(*opened, stages_.at(stage));
  EXPECT_EQ(opened->models().load(TrainedModel::distilled)->block_count(), 3);
}

TEST_F(SecondModelStages, SizesThatItsCodecAndPatchDoNotTakeAreRefused) {
  const auto refused = [&](const std::string& data, const std::vector<std::string>& parts) {
    const std::string text =
        cat("run: { device: cpu }\nmodel: { ", kNew, ", encoders: toy }\ndata: { videos: x, ", data, " }\n");
    testing::expect_error<UserError>(
        [&] {
          stages::Run(config::load<ExperimentConfig>(config::Document::from_text(text, "toy.yaml")), world_, stages_,
                      families_);
        },
        parts);
  };
  refused("size: [24, 40], frames: 11", {"data.size", "[24, 40]", "multiples of 4 and 24"});
  refused("size: [24, 48], frames: 12", {"data.frames", "found 12", "2k + 1", "such as 11"});
}

}  // namespace
}  // namespace rehyat::stages
