#include "analysis/memory.h"

#include <algorithm>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::analysis {
namespace {

constexpr std::int64_t kFloatBytes = 4;  // of weights, gradients, moments, latents and embeddings

/// Numbers a token that the feature maps of q and k keep for their backward pass.
std::int64_t phi_numbers(const models::Architecture& d, const ops::FeatureMapConfig& phi) {
  const std::int64_t features = phi.feature_width(d.head_width());
  const std::int64_t hidden = phi.hidden > 0 ? phi.hidden : phi.degree * d.head_width();
  const std::int64_t products =
      phi.kind == ops::FeatureMapKind::poly_mlp ? (phi.layers - 1) * hidden + features : features;
  return 2 * d.heads * (products + features);
}

/// What one block keeps for its backward pass.
models::HeldNumbers saved_by(const models::Architecture& d, const BlockChoice& choice) {
  models::HeldNumbers out = d.saved_by_block;
  if (choice.attention.kind->has_linear()) out.compute += phi_numbers(d, choice.phi);
  return out;
}

MemoryEstimate distill_memory(const models::Architecture& d, const VideoSize& video,
                              const std::vector<BlockChoice>& blocks, const TrainingSetup& setup) {
  std::int64_t trained = 0, numbers = 0;
  for (const BlockChoice& choice : blocks) {
    if (!choice.attention.kind->has_linear()) continue;
    trained = std::max(trained, phi_parameters(d, choice.phi));
    numbers = std::max(numbers, 4 * d.dim + phi_numbers(d, choice.phi));
  }
  MemoryEstimate estimate;
  estimate.weights = model_parameters(d) * setup.compute_bytes + trained * kFloatBytes;
  estimate.gradients = trained * kFloatBytes;
  estimate.optimizer = 2 * trained * kFloatBytes;
  estimate.activations = setup.batch * video.tokens(d) * numbers * setup.compute_bytes;
  return estimate;
}

}  // namespace

void TrainingSetup::validate() const {
  if (batch < 1) throw UserError(Mistake{"batch", cat(batch), "at least 1", ""});
  if (compute_bytes != 2 && compute_bytes != 4)
    throw UserError(Mistake{"bytes of the compute type", cat(compute_bytes), "2 or 4", ""});
}

MemoryEstimate training_memory(const models::Architecture& model, const VideoSize& video,
                               const std::vector<BlockChoice>& blocks, const TrainingSetup& setup) {
  setup.validate();
  const ModelCost cost = model_cost(model, video, blocks);
  if (setup.distill) return distill_memory(model, video, blocks, setup);

  MemoryEstimate estimate;
  std::int64_t copied = cost.parameters, all = 0, largest = 0;  // the others are bytes a token
  const bool again = setup.recompute != models::Recompute::none;
  if (again) {
    const auto most = std::max_element(cost.blocks.begin(), cost.blocks.end(),
                                       [](const auto& a, const auto& b) { return a.parameters < b.parameters; });
    copied = most->parameters + model.outside.parameters;
  }
  for (const BlockChoice& choice : blocks) {
    const std::int64_t bytes = saved_by(model, choice).bytes(setup.compute_bytes);
    all += bytes;
    largest = std::max(largest, bytes);
  }
  // Of a block that is run again: the input, and of a remembered attention its output and about three values a head.
  std::int64_t of_each = model.dim * kFloatBytes;
  if (setup.recompute == models::Recompute::selective)
    of_each += model.dim * setup.compute_bytes + 3 * model.heads * kFloatBytes;
  const std::int64_t tokens = setup.batch * video.tokens(model);
  const std::int64_t inputs = tokens * model.layers * of_each, one = tokens * largest,
                     working = tokens * std::max(model.backward_working.bytes(setup.compute_bytes),
                                                 model.saved_outside.bytes(setup.compute_bytes));
  const std::int64_t trained = setup.trained.value_or(cost.parameters);
  estimate.weights = cost.parameters * kFloatBytes + (setup.ema ? trained * kFloatBytes : 0) +
                     (setup.compute_bytes < kFloatBytes ? copied * setup.compute_bytes : 0);
  estimate.gradients = trained * kFloatBytes;
  estimate.optimizer = 2 * trained * kFloatBytes;
  // While the backward pass goes through the blocks, what they have kept makes room for their gradients.
  const std::int64_t first = again ? inputs + one : tokens * all, last = estimate.gradients + one;
  const std::int64_t most = setup.accumulates ? first + estimate.gradients : std::max(first, last);
  estimate.activations = most - estimate.gradients + working;
  return estimate;
}

std::int64_t dataset_bytes(const models::Architecture& model, const VideoSize& video, std::int64_t clips) {
  model.validate();
  video.validate(model);
  const auto [slices, rows, columns] = video.latent();
  return clips * kFloatBytes * (model.channels * slices * rows * columns + model.text_tokens * model.text_width);
}

}  // namespace rehyat::analysis
