#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "models/model_registry.h"
#include "models/video_geometry.h"

namespace rehyat::evaluate {

/// A forward pass that is to be timed.
struct ForwardBench {
  std::filesystem::path model;         ///< a folder or file; empty: the model `family` with arbitrary weights
  std::string family = "wan";          ///< of arbitrary weights
  std::optional<std::int64_t> layers;  ///< of arbitrary weights, in place of the family's default
  std::optional<models::BlockAttention> attention;  ///< converts every block first; absent: as the model is
  models::AttentionForm form = models::AttentionForm::parallel;
  std::int64_t frames = 81, height = 480, width = 832, batch = 1;
  models::VideoGeometry geometry;  ///< of the codec
  std::int64_t warmup = 2, repeats = 5;
  at::Device device = at::kCPU;
  at::ScalarType compute = at::kFloat;  ///< of weights and products; feature maps are float32
};

struct ForwardTimes {
  std::string attention;  ///< of the blocks, each kind once
  std::int64_t layers = 0, tokens = 0;
  std::vector<double> seconds;  ///< of each repeat, ascending
  double tflop = 0;             ///< of one pass as it is run: every token is folded into a state once
  std::int64_t peak_bytes = 0;  ///< of the GPU's allocator, or of the whole process on a CPU

  double median() const { return seconds[seconds.size() / 2]; }
};

/// Runs the passes, with progress. Throws UserError on a video that the model does not take.
ForwardTimes time_forward(const ForwardBench& bench, const models::ModelRegistry& families);

/// What was asked for and what was measured.
nlohmann::ordered_json to_json(const ForwardBench& bench, const ForwardTimes& times);

}  // namespace rehyat::evaluate
