#include <ATen/DeviceAccelerator.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include <iostream>

#include "core/strings.h"
#include "core/units.h"
#include "evaluate/train_bench.h"

/// A finetuning step at the real size: Wan2.1 1.3B, 81 frames of 480 x 832. Needs a GPU with 60 GB.
namespace rehyat::evaluate {
namespace {

using models::Recompute;

struct Case {
  std::int64_t layers = 1;
  models::RecomputePlan recompute = Recompute::full;
  bool offload = false;
};

StepMeasures measure(const Case& what) {
  const models::ModelRegistry families = models::known_models();
  TrainBench bench{.subject = {}, .recompute = what.recompute, .offload = what.offload, .warmup = 1, .repeats = 1};
  bench.subject.layers = what.layers;
  bench.subject.attention = models::BlockAttention{.spec = {.kind = ops::AttentionKind::rehyat}, .phi = {}};
  bench.subject.converted = (what.layers + 1) / 2;
  bench.subject.geometry = families.encoders().named("wan").published_geometry();
  bench.subject.device = at::Device(at::kCUDA, 0);
  bench.subject.compute = at::kBFloat16;
  return measure_step(bench, families);
}

TEST(GpuStep, TheEstimateIsWithinATenthOfTheAllocatorsPeak) {
  constexpr std::size_t needed = 60'000'000'000;
  if (!torch::cuda::is_available() || at::getDeviceAllocator(at::kCUDA)->getMemoryInfo(0).first < needed)
    GTEST_SKIP() << "needs a GPU with 60 GB free";
  double full = 0, none = 0, offloaded = 0;
  for (const Case& what :
       {Case{1, Recompute::none}, Case{1, Recompute::selective}, Case{1, Recompute::full}, Case{4, Recompute::none},
        Case{4, Recompute::selective}, Case{4, Recompute::full}, Case{4, {Recompute::selective, Recompute::none, 2}},
        Case{4, Recompute::full, true}, Case{30, Recompute::selective}, Case{30, Recompute::full},
        Case{30, {Recompute::selective, Recompute::none, 4}}, Case{30, Recompute::full, true}}) {
    const std::string name =
        cat(what.layers, " layers, ", models::to_string(what.recompute), what.offload ? ", offload" : "");
    SCOPED_TRACE(name);
    const StepMeasures step = measure(what);
    std::cout << name << ": " << human_seconds(step.seconds[0]) << ", peak " << human_bytes(step.peak_bytes())
              << " (forward " << human_bytes(step.forward.peak_bytes) << ", backward "
              << human_bytes(step.backward.peak_bytes) << ", update " << human_bytes(step.update.peak_bytes)
              << "), estimate " << human_bytes(step.estimate.total()) << ", weights "
              << human_bytes(step.estimate.weights) << ", activations " << human_bytes(step.estimate.activations)
              << std::endl;
    EXPECT_NEAR(static_cast<double>(step.estimate.total()) / static_cast<double>(step.peak_bytes()), 1, 0.1);
    if (what.layers != 4) continue;
    if (what.recompute == Recompute::none) none = step.loss;
    if (what.recompute == Recompute::full) (what.offload ? offloaded : full) = step.loss;
  }
  EXPECT_NEAR(full / none, 1, 1e-3);  // of the second step
  EXPECT_NEAR(offloaded / full, 1, 1e-4);
}

}  // namespace
}  // namespace rehyat::evaluate
