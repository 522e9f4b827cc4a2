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
  EXPECT_GT(one, 30 * kVideo.tokens(kWan) * kWan.saved_by_block.bytes(setup.compute_bytes));
}

TEST(TrainingMemory, OfTheRealSizeIsAsMeasuredOnOneGpu) {
  // One H100, bf16 over float32 masters, batch 1, phi composed of operators: 5.5 GB a layer with softmax attention, its
  // weights, gradients and moments included.
  const std::int64_t layer = kWan.block.parameters * 16 + kVideo.tokens(kWan) * kWan.saved_by_block.bytes(2);
  EXPECT_NEAR(static_cast<double>(layer), 5.5e9, 0.2e9);
  std::vector<BlockChoice> half(30, softmax_block());
  for (std::size_t i = 0; i < 30; i += 2) half[i] = BlockChoice{};
  TrainingSetup setup;
  const MemoryEstimate kept = training_memory(kWan, kVideo, half, setup);
  setup.recompute = models::Recompute::selective;
  const MemoryEstimate selective = training_memory(kWan, kVideo, half, setup);
  setup.recompute = models::Recompute::full;
  const MemoryEstimate again = training_memory(kWan, kVideo, half, setup);
  EXPECT_GT(kept.total(), 160e9);  // fits no GPU
  EXPECT_LT(again.total(), 45e9);  // fits one
  EXPECT_LT(again.total(), selective.total());
  EXPECT_LT(selective.total(), again.total() + 4'000'000'000);
  // The inputs of 30 blocks and what one block keeps are there in any case.
  EXPECT_GT(again.activations, kVideo.tokens(kWan) * (30 * 1536 * 4 + kWan.saved_by_block.bytes(2)));
  EXPECT_EQ(again.gradients, kept.gradients);
  EXPECT_LT(again.weights, kept.weights);
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
