#include "stages/plan.h"

#include <gtest/gtest.h>

#include "core/expect_error.h"
#include "core/fixtures.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "stages/runner.h"
#include "stages/toy_run.h"

/// Plans of what is not there yet, of what would be refused, and that plans touch nothing.
namespace rehyat::stages {
namespace {

using testing::expect_error;
using testing::TempFolder;
using json = nlohmann::ordered_json;

class Plans : public ::testing::Test {
 protected:
  std::unique_ptr<stages::Run> run(const std::string& model, Purpose purpose = Purpose::plan,
                                   const std::string& more = "") {
    const std::string text = cat("run: { dir: ", (folder_ / "run").string(), ", device: cpu }\nmodel: { ", model,
                                 " }\nhybrid: { blocks: [0, 1], attention: { kind: rehyat, tc: 2, to: 1 } }\n",
                                 "data: { videos: clips, size: [240, 416], frames: 17 }\n", more);
    auto config = config::load<ExperimentConfig>(config::Document::from_text(text, "run.yaml"));
    return std::make_unique<stages::Run>(std::move(config), world_, registry_, families_, purpose);
  }
  json plan(const std::string& model, const std::string& stage, const std::string& more = "") {
    return plan_stage(*run(model, Purpose::plan, more), registry_.at(stage)).json;
  }
  std::string in(const std::string& name) const { return (folder_ / name).string(); }

  TempFolder folder_;
  comm::Communicator world_;
  models::ModelRegistry families_ = models::known_models();
  Registry registry_ = toy::without_videos();
};

TEST_F(Plans, APublishedModelIsPlannedBeforeItIsDownloaded) {
  for (const std::string& model :
       {"published: wan2.1-t2v-1.3b, weights: " + in("elsewhere"), std::string("published: wan2.1-t2v-1.3b"),
        "weights: " + in("Wan2.1-T2V-1.3B-Diffusers")}) {
    const auto of = run(model);
    EXPECT_EQ(of->models().architecture(), families_.published("wan2.1-t2v-1.3b").architecture);
    EXPECT_EQ(of->models().latent(), (std::vector<std::int64_t>{5, 30, 52}));  // of the published VAE
    for (const char* stage : {"cache", "distill", "finetune", "sample", "export", "verify", "report"}) {
      const Plan plan = plan_stage(*of, registry_.at(stage));
      EXPECT_EQ(plan.json.at("assumed"), "wan2.1-t2v-1.3b");
      EXPECT_EQ(plan.json.at("missing").size(), 3u) << plan.json.at("missing");
      EXPECT_FALSE(plan.json.contains("folder"));
      EXPECT_FALSE(plan.json.at("complete").get<bool>());
      EXPECT_LT(plan.text.find("the teacher (model.weights"), plan.text.find("the sizes of wan2.1")) << plan.text;
    }
    EXPECT_EQ(plan_stage(*of, registry_.at("export")).json.at("needs").at("model_parameters"),
              1'418'996'800 + 2 * 2'371'584);
  }
  EXPECT_EQ(run("published: wan2.1-t2v-14b")->models().architecture().layers, 40);
  EXPECT_FALSE(std::filesystem::exists(folder_ / "run"));
}

TEST_F(Plans, WorkNeedsTheFiles) {
  const auto refused = [&](const std::string& model, Purpose purpose, const std::vector<std::string>& parts) {
    expect_error<UserError>([&] { run(model, purpose); }, parts);
  };
  refused("published: wan2.1-t2v-1.3b", Purpose::work, {"model.weights: found none", "wan2.1-t2v-1.3b"});
  refused("weights: " + in("Wan2.1-T2V-1.3B"), Purpose::work, {in("Wan2.1-T2V-1.3B")});
  refused("weights: " + in("teacher"), Purpose::plan, {"found no model at " + in("teacher"), "model.published"});
  refused("published: wan", Purpose::plan, {"model.published", "wan2.1-t2v-1.3b, wan2.1-t2v-14b"});
  refused("published: wan2.1-t2v-14b, architecture: { dim: 24 }", Purpose::plan, {"found published and architecture"});
}

TEST_F(Plans, FilesOfAnotherModelThanTheNamedOneAreRefused) {
  const std::string files = (testing::fixtures() / "pipeline/model").string();
  for (const Purpose purpose : {Purpose::plan, Purpose::work}) {
    expect_error<UserError>([&] { run("published: wan2.1-t2v-14b, weights: " + files, purpose); },
                            {files, "expected wan2.1-t2v-14b (40 layers of width 5120 with 40 heads)"});
  }
  const json whole = plan("weights: " + files, "export");
  EXPECT_FALSE(whole.contains("missing"));
  EXPECT_FALSE(whole.contains("assumed"));
  EXPECT_TRUE(whole.contains("folder"));
}

TEST_F(Plans, ADownloadUnderWayIsPlannedWithWhatItHasBrought) {
  const std::filesystem::path from = testing::fixtures() / "pipeline/model", to = folder_ / "Wan2.1-T2V-1.3B";
  make_folder(to / "transformer");
  std::filesystem::copy_file(from / "model_index.json", to / "model_index.json");
  const std::string model = "weights: " + to.string();
  EXPECT_EQ(plan(model, "export").at("assumed"), "wan2.1-t2v-1.3b");
  // The sizes of the files count once they are there, whatever the path is called.
  std::filesystem::copy_file(from / "transformer/config.json", to / "transformer/config.json");
  json found = plan(model, "export");
  EXPECT_FALSE(found.contains("assumed"));
  ASSERT_GE(found.at("missing").size(), 1u);
  EXPECT_NE(found["missing"][0].get<std::string>().find("the teacher's weights"), std::string::npos);
  std::filesystem::copy(from, to,
                        std::filesystem::copy_options::recursive | std::filesystem::copy_options::skip_existing);
  found = plan(model, "export");
  EXPECT_FALSE(found.contains("missing")) << found["missing"];
  std::filesystem::remove_all(to / "vae");
  found = plan(model + ", encoders: wan", "export");
  EXPECT_EQ(found.at("missing"), json({"the VAE (model.vae)"}));
}

TEST_F(Plans, WhatTheStageWouldRefuseIsSaidAsTheStageSaysIt) {
  const std::string model = "published: wan2.1-t2v-1.3b";
  write_file_atomic(folder_ / "prompts.txt", "a dog\na cat\na hat\na mat\n");
  const std::string cache = "cache: { prompts: " + in("prompts.txt") + ", keep_per_trajectory: 1, max_prompts: ";
  EXPECT_FALSE(plan(model, "cache", cache + "4 }\n").contains("refused"));
  const auto of = run(model, Purpose::plan, cache + "4, seeds: 2, quota: 1MB }\n");
  const Plan over = plan_stage(*of, registry_.at("cache"));
  EXPECT_EQ(over.refused, over.json.at("refused").get<std::string>());
  EXPECT_NE(over.text.find("refused"), std::string::npos);
  expect_error<UserError>([&] { require_accepted({over}); }, {"cache.quota: found a cache of", "1.0 MB"});
  EXPECT_NE(plan(model, "cache", cache + "1 }\n").at("refused").get<std::string>().find("found 1 prompt"),
            std::string::npos);
  // Captions that are not prepared yet may be fewer than cache.max_prompts: no more than a warning.
  const json unknown = plan(model, "cache", "cache: { max_prompts: 4, seeds: 2, quota: 1MB }\n");
  EXPECT_FALSE(unknown.contains("refused"));
  EXPECT_NE(unknown.at("needs").at("warnings").dump().find("cache.quota is 1.0 MB"), std::string::npos);
  const std::string online = "distill: { source: online, online: { memory: 1kB } }\n";
  EXPECT_NE(plan(model, "distill", online).at("refused").get<std::string>().find("distill.online.memory"),
            std::string::npos);
}

TEST_F(Plans, SeveralStagesAreAddedUp) {
  const auto of = run("published: wan2.1-t2v-1.3b");
  std::vector<Plan> plans;
  for (const char* stage : {"finetune", "export"}) plans.push_back(plan_stage(*of, registry_.at(stage)));
  const std::string text = plans_text(plans);
  EXPECT_NE(text.find("together"), std::string::npos) << text;
  EXPECT_GT(plans[0].gpu_hours, 0);
  EXPECT_GT(plans[1].disk_bytes, 0);
  EXPECT_EQ(text.find("missing"), 0u) << text;  // once, before all stages
  EXPECT_EQ(text.find("the VAE (model.vae)"), text.rfind("the VAE (model.vae)")) << text;
  // The stages before leave a gigabyte, less than an export takes and more than other programs write meanwhile.
  const std::int64_t taken = machine_of(*of).disk_free.value() - 1'000'000'000;
  const auto before = plan_stage(*of, registry_.at("export"), taken);
  ASSERT_TRUE(before.json.at("needs").contains("warnings"));
  EXPECT_NE(before.json["needs"]["warnings"].back().get<std::string>().find("the stages before it"), std::string::npos);
}

}  // namespace
}  // namespace rehyat::stages
