#include <gtest/gtest.h>

#include <fstream>

#include "core/strings.h"
#include "files/atomic_file.h"
#include "stages/lineage.h"
#include "stages/nearest_other.h"
#include "stages/runner.h"
#include "stages/toy_run.h"

/// How people tell the folders of a run apart and find them.
namespace rehyat::stages {
namespace {

using testing::TempFolder;
using toy::toy_config;

namespace fs = std::filesystem;

class FindingFolders : public ::testing::Test {
 protected:
  std::unique_ptr<stages::Run> run(const std::string& more = "") {
    return std::make_unique<stages::Run>(toy_config(path_, more), world_, registry_, families_);
  }
  /// Makes the folder of a stage and of all that it reads, each complete, as a whole run would.
  fs::path done(const std::string& stage, const std::string& more = "") {
    const auto of = run(more);
    for (const Stage* each : with_what_it_reads(*of, registry_.at(stage))) {
      const StageFolder folder = of->folder(each->name());
      if (folder.complete()) continue;
      const FolderLock lock = folder.open();
      folder.finish({{"seconds", 1}});
    }
    return of->folder(stage).folder();
  }
  std::string nearest(const std::string& stage, const std::string& more = "") {
    return nearest_other(*run(more), registry_.at(stage));
  }
  static void expect_parts(const std::string& text, const std::vector<std::string>& parts) {
    for (const std::string& part : parts) EXPECT_NE(text.find(part), std::string::npos) << part << " in " << text;
  }

  TempFolder folder_;
  const fs::path path_ = folder_ / "run";
  comm::Communicator world_;
  models::ModelRegistry families_ = models::known_models();
  Registry registry_ = toy::without_videos();
};

TEST_F(FindingFolders, EveryStageNamesTheNearestOther) {
  for (const auto& stage : registry_.all()) EXPECT_EQ(nearest(stage->name()), "") << stage->name();
  const fs::path first = done("finetune");
  EXPECT_EQ(nearest("finetune"), "");  // itself
  const std::string own = "finetune: { lr: 0.5 }\n", near = "finetune: { lr: 0.5, warmup: 7 }\n",
                    far = "finetune: { lr: 0.5, warmup: 8, beta1: 0.5 }\n";
  expect_parts(nearest("finetune", own),
               {first.string() + " (complete) was made from something else (finetune.lr: found 1e-05, expected 0.5)"});
  const fs::path nearer = done("finetune", near);
  expect_parts(nearest("finetune", far), {"of 2 others the nearest, " + nearer.string(), "finetune.beta1: found 0.9"});
  // A setting of a stage before it is named as what it is.
  done("distill", "pretrain: { lr: 0.25 }\n");
  expect_parts(nearest("finetune", "pretrain: { lr: 0.25 }\n"),
               {first.string(), "(pretrain.lr: found 0.001, expected 0.25)"});
  ExperimentConfig config = toy_config(path_);
  config.run.seed = 7;
  stages::Run seeded(config, world_, registry_, families_);
  for (const char* stage : {"prepare", "pretrain", "cache", "distill", "finetune"})
    expect_parts(nearest_other(seeded, registry_.at(stage)), {"run.seed: found 1, expected 7"});
}

TEST_F(FindingFolders, AnUnfinishedOneSaysHowFarItCame) {
  const auto of = run();
  const StageFolder folder = of->folder("pretrain");
  static_cast<void>(folder.open());
  expect_parts(nearest("pretrain", "pretrain: { lr: 0.5 }\n"), {folder.folder().string() + " (not complete)"});
  for (const char* step : {"step-00000240", "step-00000258"}) make_folder(folder.folder() / "checkpoints" / step);
  expect_parts(nearest("pretrain", "pretrain: { lr: 0.5 }\n"), {"(stopped after step 258)"});
}

TEST_F(FindingFolders, ManyDifferencesAreCutShort) {
  done("pretrain");
  expect_parts(nearest("pretrain",
                       "pretrain: { lr: 0.5, warmup: 1, beta1: 0.5, beta2: 0.5, eps: 0.5, iterations: 3, "
                       "weight_decay: 0.5, clip_norm: 0.5 }\n"),
               {"; and 2 more)"});
}

TEST_F(FindingFolders, AnotherVersionOfTheProgramIsSaidToBeOne) {
  const fs::path folder = path_ / "pretrain-0123abcd";
  make_folder(folder);
  std::ofstream(folder / "identity.json") << R"({"format": 1, "training": {"micro_batch": 2}, "seed": 1})";
  expect_parts(nearest("pretrain"), {"(format of pretrain: found 1, expected 2)"});
}

TEST_F(FindingFolders, TheControlIsToldFromTheHybrid) {
  const fs::path hybrid = done("finetune"), control = done("finetune", "hybrid: { blocks: [] }\n");
  const RunListing listing(path_);
  const auto folders = listing.of_stage("finetune");
  ASSERT_EQ(folders.size(), 2u);
  const std::vector<std::string> texts = told_apart(folders, listing);
  for (std::size_t i = 0; i < 2; ++i) {
    const std::string expected = folders[i].folder == control ? "hybrid no block" : "hybrid 3 blocks rehyat(";
    EXPECT_TRUE(texts[i].starts_with(expected)) << texts[i];
    EXPECT_EQ(texts[i].find(", hybrid"), std::string::npos) << texts[i];
  }
  EXPECT_EQ(told_apart(listing.of_stage("pretrain"), listing), (std::vector<std::string>{""}));
  expect_parts(nearest("finetune"), {control.string(), "hybrid: found no block, expected 3 blocks"});
}

TEST_F(FindingFolders, LinksLeadToTheFolderOfTheLastConfig) {
  const fs::path hybrid = done("finetune"), control = done("finetune", "hybrid: { blocks: [] }\n"),
                 other = done("finetune", "finetune: { lr: 0.5 }\n");
  const auto find = [&](const std::string& more) {
    run_stage(*run(more), registry_.at("finetune"));
    return fs::read_symlink(path_ / "finetune").string();
  };
  EXPECT_EQ(find(""), hybrid.filename().string());
  EXPECT_EQ(find("hybrid: { blocks: [] }\n"), hybrid.filename().string());
  EXPECT_EQ(fs::read_symlink(path_ / "finetune-control"), control.filename());
  EXPECT_EQ(find("finetune: { lr: 0.5 }\n"), other.filename().string());
  EXPECT_TRUE(fs::equivalent(path_ / "finetune", other));
  fs::rename(path_, folder_ / "moved");
  EXPECT_TRUE(fs::exists(folder_ / "moved/finetune/stage.json"));
  const RunListing listing(folder_ / "moved");
  EXPECT_EQ(listing.of_stage("finetune").size(), 3u);
  for (const StageOnDisk& each : listing.of_stage("finetune"))
    EXPECT_EQ(join(each.links, " "), each.folder.filename() == control.filename() ? "finetune-control"
                                     : each.folder.filename() == other.filename() ? "finetune"
                                                                                  : "");
}

TEST_F(FindingFolders, LinksOfOtherModelsHaveTheirNames) {
  const auto name = [&](const std::string& stage, const std::string& more) {
    return registry_.at(stage).link_name(*run(more));
  };
  EXPECT_EQ(name("sample", ""), "sample");
  EXPECT_EQ(name("sample", "sample: { model: teacher }\n"), "sample-teacher");
  EXPECT_EQ(name("sample", "hybrid: { blocks: [] }\n"), "sample-control");
  EXPECT_EQ(name("export", "export: { model: distilled }\n"), "export-distilled");
  EXPECT_EQ(name("verify", "hybrid: { blocks: [] }\n"), "verify-control");
  for (const char* stage : {"prepare", "pretrain", "cache", "distill", "report"})
    EXPECT_EQ(name(stage, "hybrid: { blocks: [] }\n"), stage);
}

TEST_F(FindingFolders, WhatTheUserNamedSoIsLeftAlone) {
  make_folder(path_ / "finetune");
  make_folder(folder_ / "large disk");
  fs::create_symlink(folder_ / "large disk", path_ / "sample");
  std::ofstream(path_ / "export") << "a file";
  StageLinks links(path_);
  for (const char* stage : {"finetune", "sample", "export"}) links.point(stage, path_ / cat(stage, "-0123abcd"));
  EXPECT_TRUE(fs::is_directory(fs::symlink_status(path_ / "finetune")));
  EXPECT_EQ(fs::read_symlink(path_ / "sample"), folder_ / "large disk");
  EXPECT_EQ(read_file(path_ / "export"), "a file");
}

TEST_F(FindingFolders, ALinkThatLeadsThereIsNotMadeAgain) {
  make_folder(path_);
  StageLinks links(path_);
  links.point("finetune", path_ / "finetune-0123abcd");
  const auto made = fs::last_write_time(path_);
  links.point("finetune", path_ / "finetune-0123abcd");
  EXPECT_EQ(fs::last_write_time(path_), made);
  links.point("finetune", path_ / "finetune-4567abcd");
  EXPECT_EQ(fs::read_symlink(path_ / "finetune"), "finetune-4567abcd");
  EXPECT_EQ(std::distance(fs::directory_iterator(path_), fs::directory_iterator()), 1);
}

}  // namespace
}  // namespace rehyat::stages
