#include <gtest/gtest.h>

#include "stages/runner.h"
#include "stages/toy_run.h"

/// What decides a stage's folder.
namespace rehyat::stages {
namespace {

using testing::TempFolder;
using toy::toy_config;

class Identity : public ::testing::Test {
 protected:
  std::string folder(const std::string& stage, const std::string& more) {
    stages::Run run(toy_config(folder_ / "run", more), world_, registry_, families_);
    return run.folder(stage).fingerprint();
  }
  std::vector<std::string> reads(const std::string& stage, const std::string& more) {
    stages::Run run(toy_config(folder_ / "run", more), world_, registry_, families_);
    return registry_.at(stage).reads(run);
  }
  TempFolder folder_;
  comm::Communicator world_;
  models::ModelRegistry families_ = models::known_models();
  Registry registry_ = toy::without_videos();
};

TEST_F(Identity, AnExportIsOfTheModelThatItNames) {
  const std::string other = "finetune: { lr: 0.5 }\n";
  for (const char* model : {"teacher", "undistilled", "distilled"}) {
    const std::string config = std::string("export: { model: ") + model + " }\n";
    EXPECT_EQ(folder("export", config), folder("export", config + other)) << model;
  }
  EXPECT_NE(folder("export", ""), folder("export", other));
  EXPECT_EQ(reads("export", "export: { model: teacher }\n"), (std::vector<std::string>{"pretrain"}));
  EXPECT_EQ(reads("export", ""), (std::vector<std::string>{"finetune"}));
}

TEST_F(Identity, WhatAGpuBeganIsNotTakenForWhatACpuMakes) {
  const auto on = [&](const std::string& stage, const std::string& device, const std::string& more) {
    ExperimentConfig config = toy_config(folder_ / "run", more);
    config.run.device = device;
    stages::Run run(std::move(config), world_, registry_, families_);
    return run.folder(stage).fingerprint();
  };
  for (const char* stage : {"pretrain", "cache", "distill", "finetune", "sample"}) {
    EXPECT_NE(on(stage, "cpu", ""), on(stage, "cuda", "")) << stage;
    const std::string fixed =
        "pretrain: { precision: f32 }\ncache: { precision: f32 }\ndistill: { precision: f32 }\n"
        "finetune: { precision: f32 }\nsample: { precision: f32 }\n";
    EXPECT_EQ(on(stage, "cpu", fixed), on(stage, "cuda", fixed)) << stage;
  }
}

TEST_F(Identity, HowOftenSomethingIsSaidDoesNotCount) {
  EXPECT_EQ(folder("finetune", ""), folder("finetune", "finetune: { log_every: 7, checkpoint_every: 3 }\n"));
  EXPECT_NE(folder("finetune", ""), folder("finetune", "finetune: { lr: 0.5 }\n"));
}

TEST_F(Identity, TheControlReadsNoDistillation) {
  EXPECT_EQ(reads("finetune", ""), (std::vector<std::string>{"prepare", "pretrain", "distill"}));
  EXPECT_EQ(reads("finetune", "hybrid: { blocks: [] }\n"), (std::vector<std::string>{"prepare", "pretrain"}));
}

}  // namespace
}  // namespace rehyat::stages
