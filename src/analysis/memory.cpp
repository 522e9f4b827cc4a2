#include "analysis/memory.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::analysis {
namespace {

/// Hosted weights, two moments and their average, of 128 MiB each, three times: the way in, the work and the way out.
constexpr std::int64_t kShardBytes = std::int64_t{3} * 3 * (1 << 27);

/// Numbers a token that the feature maps of q and k keep for their backward pass: the features, where one kernel is a
/// whole map.
std::int64_t phi_numbers(const models::Architecture& d, const ops::FeatureMapConfig& phi) {
  return 2 * d.heads * phi.feature_width(d.head_width());
}

/// What one block keeps for its backward pass.
models::HeldNumbers saved_by(const models::Architecture& d, const BlockChoice& choice) {
  models::HeldNumbers out = d.saved_by_block;
  if (choice.attention.kind->has_linear()) out.compute += phi_numbers(d, choice.phi);
  return out;
}

/// What the device holds beside weights and moments when the backward pass is at its fullest: it goes through the
/// blocks from the last to the first, which let go what they have kept and get gradients.
std::int64_t activations_and_gradients(const models::Architecture& model, const VideoSize& video,
                                       const std::vector<BlockChoice>& blocks, const ModelCost& cost,
                                       const TrainingSetup& setup) {
  using models::Recompute;
  const double trained_share =
      static_cast<double>(setup.trained.value_or(cost.parameters)) / static_cast<double>(cost.parameters);
  // Bytes a token. Of a block that is run again: its input, and of a remembered attention two outputs and about three
  // values a head.
  std::vector<std::int64_t> whole, kept;
  std::int64_t held = 0;
  for (std::int64_t i = 0; i < model.layers; ++i) {
    const Recompute policy = setup.recompute.of(i, model.layers);
    whole.push_back(saved_by(model, blocks[static_cast<std::size_t>(i)]).bytes(setup.compute_bytes));
    std::int64_t bytes = model.dim * kFloatBytes;
    if (policy == Recompute::selective) bytes += model.dim * setup.compute_bytes + 3 * model.heads * kFloatBytes;
    kept.push_back(policy == Recompute::none ? whole.back() : bytes);
    held += kept.back();
  }
  const std::int64_t tokens = setup.batch * video.tokens(model);
  const std::int64_t working =
      std::max(model.backward_working.bytes(setup.compute_bytes), model.saved_outside.bytes(setup.compute_bytes));
  const auto all = static_cast<std::int64_t>(trained_share * static_cast<double>(cost.parameters * kFloatBytes));
  std::int64_t gradients = setup.accumulates ? all : 0, most = 0;
  for (std::int64_t i = model.layers - 1; i >= 0; --i) {
    const auto at = static_cast<std::size_t>(i);
    const bool again = setup.recompute.of(i, model.layers) != Recompute::none;
    most = std::max(most, gradients + tokens * (held + (again ? whole[at] : 0) + working));
    held -= kept[at];
    if (!setup.accumulates)
      gradients +=
          static_cast<std::int64_t>(trained_share * static_cast<double>(cost.blocks[at].parameters)) * kFloatBytes;
  }
  return std::max(most, all);
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

  const std::int64_t trained = setup.trained.value_or(cost.parameters);
  const std::int64_t here = trained - setup.hosted;  // whose float32 numbers the device has
  MemoryEstimate estimate;
  estimate.weights =
      (cost.parameters - setup.hosted - setup.frozen) * kFloatBytes + (setup.ema ? here * kFloatBytes : 0);
  if (setup.compute_bytes < kFloatBytes) estimate.weights += cost.parameters * setup.compute_bytes;
  if (setup.compute_bytes == kFloatBytes) estimate.weights += (setup.hosted + setup.frozen) * kFloatBytes;
  estimate.gradients = trained * kFloatBytes;
  estimate.optimizer = 2 * here * kFloatBytes;
  const std::int64_t at_most = activations_and_gradients(model, video, blocks, cost, setup);
  const std::int64_t shards = setup.hosted > 0 ? kShardBytes : 0;
  estimate.activations = std::max(at_most - estimate.gradients, shards);
  return estimate;
}

models::RecomputePlan fitting_recompute(const models::Architecture& model, const VideoSize& video,
                                        const std::vector<BlockChoice>& blocks, TrainingSetup setup,
                                        std::int64_t bytes) {
  using models::Recompute;
  const auto fits = [&](const models::RecomputePlan& plan) {
    setup.recompute = plan;
    return training_memory(model, video, blocks, setup).total() <= bytes;
  };
  if (fits(Recompute::none)) return Recompute::none;
  for (const auto& [less, more] :
       {std::pair(Recompute::none, Recompute::selective), std::pair(Recompute::selective, Recompute::full)}) {
    for (std::int64_t count = model.layers - 1; count > 0; --count) {
      const models::RecomputePlan plan(more, less, count);
      if (fits(plan)) return plan;
    }
    if (fits(more)) return more;
  }
  return Recompute::full;
}

std::int64_t dataset_bytes(const models::Architecture& model, const VideoSize& video, std::int64_t clips) {
  model.validate();
  video.validate(model);
  const auto [slices, rows, columns] = video.latent();
  return clips * kFloatBytes * (model.channels * slices * rows * columns + model.text_tokens * model.text_width);
}

}  // namespace rehyat::analysis
