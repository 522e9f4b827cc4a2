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

/// Gradients on their way in a block: of its widest products, or of the hybrid attention. There q, k, v have gradients
/// in both types, the features of q and k in the compute type, and those of one of them in float32.
models::HeldNumbers working_of(const models::Architecture& d, const BlockChoice& choice, std::int64_t compute_bytes) {
  if (!choice.attention.kind->has_linear()) return d.backward_working;
  const std::int64_t features = d.heads * choice.phi.feature_width(d.head_width());
  const models::HeldNumbers hybrid{.compute = 6 * d.dim + 2 * features, .wide = 4 * d.dim + features};
  return hybrid.bytes(compute_bytes) > d.backward_working.bytes(compute_bytes) ? hybrid : d.backward_working;
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
  std::int64_t copied = cost.parameters, all = 0, largest = 0, working = 0;  // bytes a token but for the first
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
    working = std::max(working, working_of(model, choice, setup.compute_bytes).bytes(setup.compute_bytes));
  }
  // The input, and of an attention its output and about three values a head.
  std::int64_t of_each = model.dim * kFloatBytes;
  if (setup.recompute == models::Recompute::selective)
    of_each += model.dim * setup.compute_bytes + 3 * model.heads * kFloatBytes;
  const std::int64_t a_token =
      (again ? model.layers * of_each + largest : all) + model.saved_outside.bytes(setup.compute_bytes) + working;
  const std::int64_t trained = setup.trained.value_or(cost.parameters);
  estimate.weights = cost.parameters * kFloatBytes + (setup.ema ? trained * kFloatBytes : 0) +
                     (setup.compute_bytes < kFloatBytes ? copied * setup.compute_bytes : 0);
  estimate.gradients = trained * kFloatBytes;
  estimate.optimizer = 2 * trained * kFloatBytes;
  estimate.activations = setup.batch * video.tokens(model) * a_token;
  return estimate;
}

std::int64_t dataset_bytes(const models::Architecture& model, const VideoSize& video, std::int64_t clips) {
  model.validate();
  video.validate(model);
  const auto [slices, rows, columns] = video.latent();
  return clips * kFloatBytes * (model.channels * slices * rows * columns + model.text_tokens * model.text_width);
}

}  // namespace rehyat::analysis
