#include <gtest/gtest.h>

#include "distill/trajectories.h"
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
  // Of each branch and text token: the embedded text, and K and V of 3 blocks; in the form parallel too.
  const Needs parallel = needs("sample", hybrid + "sample: { form: parallel, guidance: 2.0, precision: bf16 }\n");
  const models::Architecture& model = run_->models().architecture();
  EXPECT_EQ(parallel.text_bytes, 2 * model.text_tokens * model.dim * (1 + 2 * 3) * 2);
  EXPECT_EQ(parallel.memory(), *parallel.model_bytes + *parallel.text_bytes);
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
    return needs("finetune", "finetune: { iterations: 5, micro_batch: 16, recompute: " + policy + " }\n", memory);
  };
  const std::int64_t large = 80'000'000'000, small = 1000;
  const Needs all = of("none", large), again = of("full", large);
  EXPECT_EQ(all.recompute, "none");
  EXPECT_EQ(again.recompute, "full");
  EXPECT_LT(again.memory_per_gpu->activations, all.memory_per_gpu->activations);
  EXPECT_GT(again.work->tflops, 1.3 * all.work->tflops);
  const Needs part = needs("finetune", "finetune: { iterations: 5, trainable: attention }\n", large);
  EXPECT_LT(part.memory_per_gpu->optimizer, all.memory_per_gpu->optimizer / 2);
  EXPECT_EQ(part.memory_per_gpu->optimizer, 2 * part.memory_per_gpu->gradients);
  EXPECT_LT(static_cast<double>(*part.disk_bytes), 0.6 * static_cast<double>(*all.disk_bytes));
  EXPECT_EQ(of("selective", large).recompute, "selective");
  EXPECT_EQ(of("auto", large).memory_per_gpu->total, all.memory_per_gpu->total);
  EXPECT_EQ(of("auto", small).memory_per_gpu->total, again.memory_per_gpu->total);
  EXPECT_EQ(of("auto, memory: 1kB", large).recompute, "full");
  const Needs hosted = of("full, offload: optimizer", large);
  EXPECT_LT(hosted.memory_per_gpu->optimizer, again.memory_per_gpu->optimizer / 2);
  EXPECT_GT(*hosted.host_memory_bytes, again.memory_per_gpu->optimizer / 2);
  EXPECT_FALSE(again.host_memory_bytes);
}

TEST_F(StageNeeds, AStepIsCountedOnce) {
  const std::string hybrid = "hybrid: { attention: { kind: rehyat, tc: 2, to: 1 } }\n";
  const Needs finetune = needs("finetune", "finetune: { iterations: 5, global_batch: 4 }\n");
  EXPECT_EQ(finetune.steps, 5);
  EXPECT_DOUBLE_EQ(finetune.work->tflops, 5 * *finetune.tflops_per_step);
  // Each trajectory of the progress has as many steps as its sampler where its last point is kept.
  const Needs cache = needs("cache", hybrid + "cache: { max_prompts: 4, seeds: 2, sampler: { steps: 3 } }\n");
  EXPECT_EQ(cache.steps, 4 * 2 * 3);
  EXPECT_NEAR(cache.work->tflops, 24 * *cache.tflops_per_step, 1e-12);
  // A walk ends after its last kept point, here in the middle of a step or at its end.
  const Needs short_walks =
      needs("cache", hybrid + "cache: { max_prompts: 40, seeds: 2, sampler: { steps: 9 }, keep_per_trajectory: 3 }\n");
  distill::CacheConfig config;
  config.seeds = 2, config.sampler.steps = 9, config.keep_per_trajectory = 3;
  const distill::WalkLength walks = distill::cache_walks(config, run_->config().run.seed, 80);
  EXPECT_EQ(short_walks.steps, walks.steps);
  EXPECT_NEAR(short_walks.work->tflops, static_cast<double>(walks.evaluations) * *short_walks.tflops_per_step / 2,
              1e-9);
  EXPECT_NEAR(short_walks.work->tflops / (40 * short_walks.work_per_prompt->tflops), 1, 0.05);
  // 5 slices in chunks of 2: each of the 3 chunks goes through all steps.
  EXPECT_EQ(needs("sample", hybrid + "sample: { sampler: { steps: 4 } }\n").steps_per_video, 3 * 4);
  EXPECT_EQ(needs("sample", hybrid + "sample: { sampler: { steps: 4 }, form: parallel }\n").steps_per_video, 4);
}

TEST_F(StageNeeds, TheQuotaIsSaidInPrompts) {
  const Needs cache = needs("cache", "cache: { max_prompts: 4, seeds: 2, quota: 1GB }\n");
  EXPECT_EQ(cache.prompts, 4);
  EXPECT_EQ(cache.disk_bytes, 4 * *cache.disk_bytes_per_prompt);
  EXPECT_EQ(cache.quota_prompts, 1'000'000'000 / *cache.disk_bytes_per_prompt);
}

Machine small_machine() {
  return {.device = "this machine", .device_memory = 1000, .host_memory = 1000, .ranks = 2, .disk_free = 500};
}

TEST_F(StageNeeds, MemoryIsComparedWithTheDevice) {
  Needs fits, too_large;
  fits.model_bytes = 500;
  compare(fits, small_machine(), "sample", 0);
  EXPECT_TRUE(fits.warnings.empty());
  too_large.model_bytes = 501;  // of each of the two ranks that share the machine
  too_large.smaller_memory = "data.frames";
  compare(too_large, small_machine(), "sample", 0);
  ASSERT_EQ(too_large.warnings.size(), 1u);
  EXPECT_EQ(too_large.warnings[0],
            "sample: needs about 501 B of memory on each of 2 ranks, but this machine has 1.0 kB; lower data.frames");
  Machine gpu = small_machine();
  gpu.gpu = true, gpu.device = "GPU 0 of this machine", gpu.device_memory = 700;
  Needs on_gpu;
  on_gpu.model_bytes = 701, on_gpu.host_memory_bytes = 1001;
  compare(on_gpu, gpu, "sample", 0);
  ASSERT_EQ(on_gpu.warnings.size(), 2u);
  EXPECT_NE(on_gpu.warnings[0].find("GPU 0 of this machine has 700 B"), std::string::npos) << on_gpu.warnings[0];
  EXPECT_NE(on_gpu.warnings[1].find("this machine has 1.0 kB"), std::string::npos) << on_gpu.warnings[1];
}

TEST_F(StageNeeds, DiskIsComparedWithWhatTheStagesBeforeLeave) {
  Needs needs;
  needs.disk_bytes = 300;
  needs.smaller_disk = "cache.seeds";
  compare(needs, small_machine(), "cache", 200);
  EXPECT_TRUE(needs.warnings.empty());
  compare(needs, small_machine(), "cache", 201);
  ASSERT_EQ(needs.warnings.size(), 1u);
  EXPECT_EQ(needs.warnings[0],
            "cache: needs 300 B on the disk, the stages before it 201 B, but only 500 B are free for run.dir; lower "
            "cache.seeds");
  compare(needs, small_machine(), "cache", std::nullopt);  // the stage itself refuses
  compare(needs, small_machine(), "cache", 501);           // a stage before has said so
  EXPECT_EQ(needs.warnings.size(), 1u);
}

TEST_F(StageNeeds, ThisMachineHasMemoryAndRoom) {
  EXPECT_GT(host_memory(), 1 << 20);
  RunConfig config;
  config.device = "cpu";
  EXPECT_EQ(device_memory(config), host_memory());
  needs("sample", "");
  const Machine machine = machine_of(*run_);
  EXPECT_EQ(machine.device, "this machine");
  EXPECT_GT(machine.disk_free.value_or(0), 0);
}

TEST_F(StageNeeds, PeopleAreToldInUnits) {
  Needs needs;
  needs.warn("too large");
  needs.steps = 1000, needs.tflops_per_step = 4.3;
  needs.work = Work{4300, 0.5};
  needs.disk_bytes = 12'000'000'000;
  needs.model_bytes = 5'600'000'000;
  Machine machine = small_machine();
  machine.device_memory = 8'000'000'000, machine.disk_free = 340'000'000'000;
  TextList list;
  needs.tell(list, machine);
  EXPECT_EQ(list.text(),
            "warning  too large\n"
            "steps    1,000 of 4.30 TFLOP\n"
            "work     4.30 PFLOP, 30 min 0 s of one GPU\n"
            "disk     12.0 GB of 340 GB free\n"
            "memory   at least 5.6 GB of the 8.0 GB that this machine has\n");
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
