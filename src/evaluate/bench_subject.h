#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "analysis/cost.h"
#include "models/model_registry.h"

namespace rehyat::evaluate {

/// What a bench runs: a model, a video that it sees, and where.
struct BenchSubject {
  std::filesystem::path model;  ///< a folder or file; empty: one of `family` with arbitrary weights
  std::string family = "wan";   ///< of arbitrary weights
  nlohmann::ordered_json settings = nlohmann::ordered_json::object();  ///< of that model, else the family's own
  std::optional<std::int64_t> layers;                                  ///< of that model, whatever its settings say
  std::optional<models::BlockAttention> attention;  ///< converts blocks first; absent: the model stays as it is
  std::optional<std::int64_t> converted;            ///< so many blocks, evenly spread; absent: all
  std::int64_t frames = 81, height = 480, width = 832, batch = 1;
  models::VideoGeometry geometry;  ///< of the codec
  at::Device device = at::kCPU;
  at::ScalarType compute = at::kFloat;  ///< of the matrix products

  std::array<std::int64_t, 3> latent() const { return geometry.latent(frames, height, width); }
  analysis::VideoSize video() const { return {frames, height, width, geometry}; }
  /// The sizes of the model, of which nothing is made. Throws UserError on a video that it does not take.
  models::Architecture architecture(const models::ModelRegistry& families) const;
  /// The model on its device, its weights in the given type and feature maps in float32. Throws UserError, before
  /// anything is made, on a video that it does not take.
  models::VideoTransformer make(const models::ModelRegistry& families, at::ScalarType weights) const;
};

/// The attention of every block, as the cost model takes it.
std::vector<analysis::BlockChoice> block_choices(const models::VideoTransformer& model);
/// TFLOP of a forward pass of the subject's batch as it is run: every token is folded into a state once.
double forward_tflop(const models::VideoTransformer& model, const BenchSubject& subject);
/// The kinds of attention in the model, each once, for people.
std::string attention_names(const models::VideoTransformer& model);

/// Numbers spread evenly over [-size, size], in no order that a model could notice. Time does not depend on the values,
/// and drawing 1.4 billion of them from a random stream takes minutes.
at::Tensor spread_numbers(at::IntArrayRef sizes, double size, const at::TensorOptions& options);

/// Waits until the device has done what it was given.
void wait_for(at::Device device);
/// What every bench says of its subject.
nlohmann::ordered_json to_json(const BenchSubject& subject);
/// "81 frames at 480 x 832, BFloat16 on cuda".
std::string to_text(const BenchSubject& subject);

/// The middle of sorted values.
double median(const std::vector<double>& sorted);

}  // namespace rehyat::evaluate
