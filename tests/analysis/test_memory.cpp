#include <gtest/gtest.h>

#include "analysis/memory.h"
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
  EXPECT_EQ(training_memory(kWan, kVideo, converted(), setup).activations, 2 * one);
  EXPECT_GT(one, 30 * kVideo.tokens(kWan) * kWan.saved_by_block * setup.compute_bytes);
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
