#include <gtest/gtest.h>

#include "stages/costs.h"
#include "stages/runner.h"
#include "stages/toy_run.h"

/// What a dry run says.
namespace rehyat::stages {
namespace {

using testing::TempFolder;
using toy::toy_config;

class StageNeeds : public ::testing::Test {
 protected:
  /// On a GPU of so much memory, or on CPUs.
  Needs needs(const std::string& stage, const std::string& more, std::int64_t gpu_memory = 0) {
    ExperimentConfig config = toy_config(folder_ / "run", more);
    if (gpu_memory > 0) {
      config.run.device = "cuda";
      config.run.gpu_memory = gpu_memory;
    }
    run_ = std::make_unique<stages::Run>(std::move(config), world_, registry_, families_);
    return registry_.at(stage).needs(*run_);
  }
  TempFolder folder_;
  comm::Communicator world_;
  models::ModelRegistry families_ = models::known_models();
  Registry registry_ = toy::without_videos();
  std::unique_ptr<stages::Run> run_;
};

TEST_F(StageNeeds, TheRingIsOfTheTypeThatSamplingRunsIn) {
  const std::string hybrid = "hybrid: { attention: { kind: rehyat, tc: 2, to: 1 } }\n";
  const auto bytes = [&](const std::string& precision) {
    return needs("sample", hybrid + "sample: { guidance: 2.0, sampler: { steps: 3 }, precision: " + precision + " }\n")
        .state_and_ring_bytes;
  };
  // 3 blocks, 3 steps, 2 branches: S and z in float32, and 1 slice of 4 tokens of K and V.
  EXPECT_EQ(bytes("f32"), 18 * (2 * 24 * 13 * 4 + 2 * 4 * 24 * 4));
  EXPECT_EQ(bytes("bf16"), 18 * (2 * 24 * 13 * 4 + 2 * 4 * 24 * 2));
}

TEST_F(StageNeeds, TheDryRunCountsATrainingStepAsTheLogDoes) {
  const Needs found = needs("finetune", "finetune: { iterations: 5, global_batch: 4 }\n");
  const double step = training_step_tflops(run_->models().architecture(), run_->models().blocks(), bucket_videos(*run_),
                                           {}, run_->config().finetune.global_batch);
  EXPECT_DOUBLE_EQ(found.work->tflops, 5 * step);
  // Of one bucket the shares say nothing.
  EXPECT_DOUBLE_EQ(step, training_step_tflops(run_->models().architecture(), run_->models().blocks(),
                                              bucket_videos(*run_), {7}, run_->config().finetune.global_batch));
}

TEST_F(StageNeeds, BlocksAreRunAgainWhereMemoryNeedsIt) {
  const auto of = [&](const std::string& policy, std::int64_t memory) {
    return needs("finetune", "finetune: { iterations: 5, recompute: " + policy + " }\n", memory);
  };
  const std::int64_t large = 80'000'000'000, small = 1000;
  const Needs all = of("none", large), again = of("full", large);
  EXPECT_EQ(all.recompute, "none");
  EXPECT_EQ(again.recompute, "full");
  EXPECT_LT(again.memory_per_gpu->activations, all.memory_per_gpu->activations);
  EXPECT_GT(again.work->tflops, 1.3 * all.work->tflops);
  EXPECT_EQ(of("auto", large).memory_per_gpu->total, all.memory_per_gpu->total);
  EXPECT_EQ(of("auto", small).memory_per_gpu->total, again.memory_per_gpu->total);
}

TEST_F(StageNeeds, ACacheOverItsQuotaIsSaidBeforeItIsBegun) {
  const std::string cache = "cache: { max_prompts: 4, quota: ";
  EXPECT_EQ(needs("cache", cache + "1GB }\n").warning, "");
  const Needs over = needs("cache", cache + "1kB }\n");
  EXPECT_EQ(over.disk_bytes, 4 * *over.disk_bytes_per_prompt);
  EXPECT_NE(over.warning.find("4 prompts need"), std::string::npos) << over.warning;
  EXPECT_NE(over.warning.find("cache.quota is 1"), std::string::npos) << over.warning;
}

TEST_F(StageNeeds, SamplesRecurrentlyOnlyWhereThatSavesMemory) {
  const std::string all = "hybrid: { attention: { kind: rehyat, tc: 2, to: 1 } }\n";
  const std::string some = "hybrid: { blocks: [0, 2], attention: { kind: rehyat, tc: 2, to: 1 } }\n";
  EXPECT_EQ(needs("sample", all).form, "recurrent");
  EXPECT_EQ(needs("sample", some).form, "parallel");
  EXPECT_EQ(needs("sample", some + "sample: { form: recurrent }\n").form, "recurrent");
  EXPECT_EQ(needs("sample", all + "sample: { sampler: { kind: euler_ancestral } }\n").form, "parallel");
  EXPECT_EQ(needs("sample", all + "sample: { model: teacher }\n").form, "parallel");
}

}  // namespace
}  // namespace rehyat::stages
