#include "analysis/memory.h"

#include <gtest/gtest.h>

#include "analysis/wan_case.h"
#include "core/error.h"

namespace rehyat::analysis {
namespace {

std::vector<BlockChoice> converted() {
  return std::vector<BlockChoice>(30, BlockChoice{});
}

TEST(DatasetBytes, LatentsAndText) {
  EXPECT_EQ(dataset_bytes(kWan, kVideo, 1), 4 * (16 * 21 * 60 * 104 + 512 * 4096));
  EXPECT_EQ(dataset_bytes(kWan, kVideo, 10), 10 * dataset_bytes(kWan, kVideo, 1));
}

TEST(TrainingMemory, FinetuneCountsEveryCopyOfTheWeights) {
  TrainingSetup setup;
  const MemoryEstimate plain = training_memory(kWan, kVideo, converted(), setup);
  const std::int64_t parameters = 1'418'996'800 + 30 * 2'371'584;
  EXPECT_EQ(plain.weights, parameters * 6);
  EXPECT_EQ(plain.gradients, parameters * 4);
  EXPECT_EQ(plain.optimizer, parameters * 8);
  EXPECT_EQ(plain.total(), plain.weights + plain.gradients + plain.optimizer + plain.activations);
  setup.ema = true;
  const MemoryEstimate averaged = training_memory(kWan, kVideo, converted(), setup);
  EXPECT_EQ(averaged.weights, parameters * 10);
  EXPECT_EQ(averaged.optimizer, plain.optimizer);
}

TEST(TrainingMemory, ActivationsGrowWithTheBatchAndAreThoseOfAllBlocks) {
  TrainingSetup setup;
  const auto one = training_memory(kWan, kVideo, converted(), setup).activations;
  setup.batch = 2;
  const auto two = training_memory(kWan, kVideo, converted(), setup);
  EXPECT_EQ(two.activations + two.gradients, 2 * (one + two.gradients));  // whose room they use
  EXPECT_GT(one, 30 * kVideo.tokens(kWan) * kWan.saved_by_block.bytes(setup.compute_bytes));
}

/// Wan2.1 1.3B at 480 x 832, 81 frames, batch 1, of so many layers with so many converted, in bf16 over float32
/// masters: peaks of the allocator of an H100, as `bench step` and gpu_step found them on 2026-11-28.
TEST(TrainingMemory, OfTheRealSizeIsAsMeasuredOnOneGpu) {
  const auto estimated = [](std::int64_t layers, std::int64_t hybrid, const models::RecomputePlan& recompute,
                            bool hosted = false) {
    models::Architecture model = kWan;
    model.layers = layers;
    std::vector<BlockChoice> blocks(static_cast<std::size_t>(layers), softmax_block());
    for (std::int64_t i = 0; i < hybrid; ++i) blocks[static_cast<std::size_t>(i * layers / hybrid)] = BlockChoice{};
    TrainingSetup setup;
    setup.recompute = recompute;
    if (hosted) setup.hosted = layers * model.block.parameters;
    return static_cast<double>(training_memory(model, kVideo, blocks, setup).total());
  };
  using models::Recompute;
  const auto expect = [&](double measured, double found) { EXPECT_NEAR(found / measured, 1, 0.05); };
  expect(30.9e9, estimated(30, 15, Recompute::full));
  expect(34.1e9, estimated(30, 15, Recompute::selective));
  expect(43.9e9, estimated(30, 15, {Recompute::selective, Recompute::none, 5}));
  expect(74.0e9, estimated(30, 15, {Recompute::selective, Recompute::none, 17}));
  expect(75.2e9, estimated(30, 30, {Recompute::selective, Recompute::none, 16}));
  expect(14.1e9, estimated(30, 15, Recompute::full, true));
  expect(8.3e9, estimated(4, 2, Recompute::full));
  expect(15.8e9, estimated(4, 2, Recompute::none));
  expect(6.0e9, estimated(4, 2, Recompute::full, true));
  EXPECT_GT(estimated(30, 15, Recompute::none), 80e9);
  // Attention outputs of 101 MB a block, and their logarithms.
  EXPECT_NEAR(estimated(30, 15, Recompute::selective) - estimated(30, 15, Recompute::full), 3.1e9, 0.1e9);
}

TEST(TrainingMemory, HostedWeightsLeaveTheirCopyOnTheDevice) {
  TrainingSetup setup;
  setup.recompute = models::Recompute::full;
  const MemoryEstimate here = training_memory(kWan, kVideo, converted(), setup);
  setup.hosted = 1'300'000'000;
  const MemoryEstimate hosted = training_memory(kWan, kVideo, converted(), setup);
  EXPECT_EQ(hosted.weights, here.weights - 4 * setup.hosted);
  EXPECT_EQ(hosted.optimizer, here.optimizer - 8 * setup.hosted);
  EXPECT_EQ(hosted.gradients, here.gradients);
  EXPECT_LT(hosted.total(), 23'000'000'000);  // a step of the 1.3B on a card of 24 GB
  setup.compute_bytes = 4;
  const MemoryEstimate wide = training_memory(kWan, kVideo, converted(), setup);
  setup.hosted = 0;
  EXPECT_EQ(wide.weights, training_memory(kWan, kVideo, converted(), setup).weights);
}

TEST(TrainingMemory, FrozenWeightsAreThereInTheComputeTypeAlone) {
  TrainingSetup setup;
  setup.trained = 100'000'000;
  const std::int64_t before = training_memory(kWan, kVideo, converted(), setup).weights;
  setup.frozen = 1'200'000'000;
  EXPECT_EQ(training_memory(kWan, kVideo, converted(), setup).weights, before - 4 * setup.frozen);
}

TEST(TrainingMemory, ThePlanThatFitsRunsAsLittleAgainAsItCan) {
  TrainingSetup setup;
  const auto plan = [&](double bytes) {
    return fitting_recompute(kWan, kVideo, converted(), setup, static_cast<std::int64_t>(bytes));
  };
  const auto total = [&](const models::RecomputePlan& of) {
    setup.recompute = of;
    return static_cast<double>(training_memory(kWan, kVideo, converted(), setup).total());
  };
  using models::Recompute;
  EXPECT_EQ(plan(1e15), models::RecomputePlan(Recompute::none));
  EXPECT_EQ(plan(1), models::RecomputePlan(Recompute::full));
  std::int64_t fewer = 31;
  for (const double bytes : {100e9, 75e9, 60e9}) {
    const models::RecomputePlan found = plan(bytes);
    EXPECT_LE(total(found), bytes);
    EXPECT_EQ(found.first, Recompute::selective);
    EXPECT_EQ(found.last, Recompute::none);
    EXPECT_LT(found.last_blocks, fewer);
    fewer = found.last_blocks;
    EXPECT_GT(total({found.first, found.last, found.last_blocks + 1}), bytes);
  }
  const double between = (total(Recompute::selective) + total(Recompute::full)) / 2;
  const models::RecomputePlan found = plan(between);
  EXPECT_EQ(found.first, Recompute::full);
  EXPECT_EQ(found.last, Recompute::selective);
  EXPECT_LE(total(found), between);
}

TEST(TrainingMemory, MicroBatchesHaveTheGradientsOfThoseBefore) {
  TrainingSetup setup;
  setup.recompute = models::Recompute::full;
  const MemoryEstimate one = training_memory(kWan, kVideo, converted(), setup);
  setup.accumulates = true;
  const MemoryEstimate more = training_memory(kWan, kVideo, converted(), setup);
  EXPECT_EQ(more.gradients, one.gradients);
  EXPECT_GT(more.total(), one.total() + one.gradients / 2);
  EXPECT_LE(more.total(), one.total() + one.gradients);
}

TEST(TrainingMemory, DistillationTrainsOnlyPhi) {
  TrainingSetup setup;
  setup.distill = true;
  const MemoryEstimate estimate = training_memory(kWan, kVideo, converted(), setup);
  EXPECT_EQ(estimate.gradients, 2'371'584 * 4);
  EXPECT_EQ(estimate.optimizer, 2'371'584 * 8);
  setup.distill = false;
  EXPECT_LT(estimate.total(), training_memory(kWan, kVideo, converted(), setup).total());
}

TEST(TrainingMemory, RefusesSetupsThatMakeNoSense) {
  TrainingSetup setup;
  setup.batch = 0;
  EXPECT_THROW(training_memory(kWan, kVideo, converted(), setup), UserError);
  setup = {};
  setup.compute_bytes = 3;
  EXPECT_THROW(training_memory(kWan, kVideo, converted(), setup), UserError);
}

}  // namespace
}  // namespace rehyat::analysis
