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
  const std::int64_t hidden =
      phi.kind == ops::FeatureMapKind::poly_mlp ? (phi.hidden > 0 ? phi.hidden : phi.degree * d.head_width()) : 0;
  return 2 * d.heads * (hidden + 2 * features);
}

/// Numbers a token that one block keeps for its backward pass.
std::int64_t block_numbers(const models::Architecture& d, const BlockChoice& choice) {
  return d.saved_by_block + (choice.attention.kind->has_linear() ? phi_numbers(d, choice.phi) : 0);
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
  const std::int64_t copies = kFloatBytes + (setup.compute_bytes < kFloatBytes ? setup.compute_bytes : 0);
  estimate.weights = cost.parameters * (copies + (setup.ema ? kFloatBytes : 0));
  estimate.gradients = cost.parameters * kFloatBytes;
  estimate.optimizer = 2 * cost.parameters * kFloatBytes;
  std::int64_t numbers = model.layers * model.dim;
  for (const BlockChoice& choice : blocks) numbers += block_numbers(model, choice);
  estimate.activations = setup.batch * video.tokens(model) * numbers * setup.compute_bytes;
  return estimate;
}

std::int64_t dataset_bytes(const models::Architecture& model, const VideoSize& video, std::int64_t clips) {
  model.validate();
  video.validate(model);
  const auto [slices, rows, columns] = video.latent();
  return clips * kFloatBytes * (model.channels * slices * rows * columns + model.text_tokens * model.text_width);
}

}  // namespace rehyat::analysis
