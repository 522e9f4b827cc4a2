#include <gtest/gtest.h>

#include <fstream>

#include "core/expect_error.h"
#include "core/fixtures.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "stages/runner.h"
#include "stages/toy_run.h"

/// What was made is found when the files that it was made from are gone.
namespace rehyat::stages {
namespace {

using testing::expect_error;
using testing::TempFolder;

class InputsGone : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::copy(testing::fixtures() / "pipeline/model", folder_ / "model",
                          std::filesystem::copy_options::recursive);
    std::ofstream(folder_ / "prompts.txt") << "a dog\na cat\n";
    std::ofstream(folder_ / "noise.safetensors") << "any bytes: only their checksum counts";
    make_folder(folder_ / "run");
  }
  std::unique_ptr<stages::Run> run() {
    const auto in = [&](const char* name) { return (folder_ / name).string(); };
    const std::string text =
        cat("run: { dir: ", in("run"), ", device: cpu }\nmodel: { weights: ", in("model"),
            " }\nhybrid: { attention: { kind: rehyat, tc: 2, to: 1 } }\n",
            "data: { size: [32, 32], frames: 9 }\ncache: { prompts: ", in("prompts.txt"),
            " }\nsample: { prompts_file: ", in("prompts.txt"), ", noise: ", in("noise.safetensors"), " }\n");
    auto config = config::load<ExperimentConfig>(config::Document::from_text(text, "run.yaml"));
    return std::make_unique<stages::Run>(std::move(config), world_, registry_, families_);
  }
  std::map<std::string, std::string> folders(stages::Run& of) {
    std::map<std::string, std::string> out;
    for (const char* stage : {"cache", "distill", "finetune", "sample", "export", "verify", "report"})
      out[stage] = of.folder(stage).fingerprint();
    return out;
  }
  TempFolder folder_;
  comm::Communicator world_;
  models::ModelRegistry families_ = models::known_models();
  Registry registry_ = toy::without_videos();
};

TEST_F(InputsGone, EveryStageIsFoundByWhatWasNoted) {
  const auto before = run();
  const auto expected = folders(*before);
  before->notes().save();
  for (const char* name : {"model", "prompts.txt", "noise.safetensors"}) std::filesystem::remove_all(folder_ / name);
  const auto after = run();
  EXPECT_EQ(folders(*after), expected);
  EXPECT_EQ(after->models().architecture(), before->models().architecture());
  EXPECT_EQ(after->encoders().codec->geometry(), before->encoders().codec->geometry());
  EXPECT_EQ(after->config().sample.sampler.shift, before->config().sample.sampler.shift);
  EXPECT_EQ(after->prompts().of_cache(), (std::vector<std::string>{"a dog", "a cat"}));
  for (const auto& stage : registry_.all()) EXPECT_NO_THROW(static_cast<void>(stage->needs(*after))) << stage->name();
  // What runs them says that they are gone.
  expect_error<UserError>([&] { after->models().load(TrainedModel::teacher); },
                          {(folder_ / "model").string(), "the teacher is gone", "bring it back"});
  expect_error<UserError>(
      [&] {
        after->encoders().codec->decode(at::zeros({16, 1, 4, 4}));
      },
      {"the video codec of this run is gone"});
  expect_error<UserError>([&] { after->encoders().text->encode({"a dog"}); }, {"the text encoder of this run is gone"});
}

TEST_F(InputsGone, WeightsWithoutTheirFilesAreGoneToo) {
  const auto before = run();
  const auto expected = folders(*before);
  before->notes().save();
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "model/transformer"))
    if (entry.path().extension() == ".safetensors") std::filesystem::remove(entry.path());
  std::filesystem::remove_all(folder_ / "model/vae");
  EXPECT_EQ(folders(*run()), expected);
}

TEST_F(InputsGone, WithoutANoteTheErrorNamesWhatIsMissing) {
  std::filesystem::remove_all(folder_ / "model");
  expect_error<UserError>([&] { run(); }, {(folder_ / "model").string()});
}

TEST_F(InputsGone, NotesThatSayTheSameAreNotWritten) {
  const auto first = run();
  static_cast<void>(folders(*first));
  first->notes().save();
  const auto times = [&] {
    std::map<std::filesystem::path, std::filesystem::file_time_type> out;
    for (const auto& entry : std::filesystem::directory_iterator(folder_ / "run"))
      out[entry.path()] = entry.last_write_time();
    return out;
  };
  const auto written = times();
  EXPECT_FALSE(written.empty());
  const auto second = run();
  static_cast<void>(folders(*second));
  second->notes().save();
  EXPECT_EQ(times(), written);
}

TEST_F(InputsGone, ADamagedNoteIsASentence) {
  const auto first = run();
  static_cast<void>(folders(*first));
  first->notes().save();
  std::filesystem::remove_all(folder_ / "model");
  for (const auto& entry : std::filesystem::directory_iterator(folder_ / "run"))
    if (entry.path().filename().string().starts_with("noted-model")) std::ofstream(entry.path()) << "{\"of\": 1}";
  expect_error<UserError>([&] { run(); }, {"noted-model-", "expected what the input was", "remove the file"});
}

}  // namespace
}  // namespace rehyat::stages
