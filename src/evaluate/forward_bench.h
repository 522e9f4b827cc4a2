#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "evaluate/bench_subject.h"

namespace rehyat::evaluate {

/// A forward pass that is to be timed, with weights in the type of the products.
struct ForwardBench {
  BenchSubject subject;
  models::AttentionForm form = models::AttentionForm::parallel;
  std::int64_t warmup = 2, repeats = 5;
};

struct ForwardTimes {
  std::string attention;  ///< of the blocks, each kind once
  std::int64_t layers = 0, tokens = 0;
  std::vector<double> seconds;  ///< of each repeat, ascending
  double tflop = 0;             ///< of one pass as it is run: every token is folded into a state once
  std::int64_t peak_bytes = 0;  ///< of the GPU's allocator, or of the whole process on a CPU
};

/// Runs the passes, with progress. Throws UserError on a video that the model does not take.
ForwardTimes time_forward(const ForwardBench& bench, const models::ModelRegistry& families);

/// What was asked for and what was measured.
nlohmann::ordered_json to_json(const ForwardBench& bench, const ForwardTimes& times);
std::string to_text(const ForwardBench& bench, const ForwardTimes& times);

}  // namespace rehyat::evaluate
