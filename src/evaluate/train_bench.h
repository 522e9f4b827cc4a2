#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/memory.h"
#include "evaluate/bench_subject.h"

namespace rehyat::evaluate {

/// A finetuning step that is to be measured, of the subject's batch at once: flow matching of every parameter with
/// float32 masters and AdamW, on numbers made here instead of prepared clips.
struct TrainBench {
  BenchSubject subject;
  models::RecomputePlan recompute = models::Recompute::full;
  std::optional<std::int64_t> memory;  ///< bytes within which the least is run again, instead of `recompute`
  bool offload = false;                ///< as the setting of finetune
  std::int64_t warmup = 1, repeats = 3;
  std::int64_t accumulate = 1;  ///< forward and backward passes before an update
};

/// One part of a step.
struct StepPart {
  std::vector<double> seconds;  ///< of each repeat, ascending
  std::int64_t peak_bytes = 0;  ///< of all repeats; on a CPU of the whole process until then
};

struct StepMeasures {
  std::string attention;  ///< of the blocks, each kind once
  std::int64_t layers = 0, tokens = 0, parameters = 0;
  std::vector<double> seconds;  ///< of each repeat, ascending
  StepPart forward, backward, update;
  models::RecomputePlan recompute;                                         ///< of the steps
  std::int64_t weight_bytes = 0, gradient_bytes = 0, optimizer_bytes = 0;  ///< that the device holds between steps
  analysis::MemoryEstimate estimate;                                       ///< what a dry run says
  double forward_tflop = 0;                                                ///< of one forward pass
  double attention_tflop = 0;  ///< of it the softmax and linear branches of all blocks
  double stream_bytes = 0;     ///< of the residual stream in one forward pass
  double loss = 0;             ///< of the last step

  std::int64_t peak_bytes() const;
};

/// Runs the steps, with progress. Throws UserError on a video that the model does not take, and on a loss that is not
/// finite.
StepMeasures measure_step(const TrainBench& bench, const models::ModelRegistry& families);

}  // namespace rehyat::evaluate
