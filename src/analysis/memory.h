#pragma once

#include <cstdint>
#include <optional>

#include "analysis/cost.h"
#include "models/recompute_policy.h"

/// Memory and disk that a run needs. Parameters, optimizer and files are counted. Activations are estimated, within
/// about a third, so that a run that cannot fit is recognised before it starts.
namespace rehyat::analysis {

/// Of weights, gradients, moments, latents and embeddings.
constexpr std::int64_t kFloatBytes = 4;

struct TrainingSetup {
  bool distill = false;                 ///< one block's feature maps are trained at a time, the rest is frozen
  std::int64_t batch = 1;               ///< samples that a rank holds at once
  std::int64_t compute_bytes = 2;       ///< of a number in the forward pass: 2 for bf16 and fp16, 4 for fp32
  bool accumulates = false;             ///< whether the gradients of earlier micro-batches of the step are there
  std::optional<std::int64_t> trained;  ///< parameters that have gradients; absent: all
  bool ema = false;                     ///< whether averaged weights are kept beside the trained ones
  std::int64_t hosted = 0;              ///< trained parameters whose float32 numbers and moments host memory holds
  std::int64_t frozen = 0;              ///< parameters that the device has in the compute type alone
  models::RecomputePlan recompute;      ///< what is run again in the backward pass

  /// Throws UserError on numbers that make no sense.
  void validate() const;
};

/// Bytes on one rank.
struct MemoryEstimate {
  std::int64_t weights = 0;      ///< fp32 masters, their copies in the compute type where that is another, EMA
  std::int64_t gradients = 0;    ///< fp32
  std::int64_t optimizer = 0;    ///< AdamW's two moments, fp32
  std::int64_t activations = 0;  ///< beside them, at the moment when the sum is largest; or shards of hosted weights
  std::int64_t total() const { return weights + gradients + optimizer + activations; }
};

/// Activations are what the architecture says that blocks, embeddings and head keep and the gradients on their way in
/// the last block, and for a converted block the features of phi for q and k, as on a Hopper GPU. Where blocks are
/// run again one block at a time keeps them, and every block its input and what the policy keeps of its attention.
/// Gradients need room of their own only where they outgrow what blocks have let go. Hosted weights have their copy in
/// the compute type alone on the device, and room for the shards in which they are updated.
/// Throws UserError on a setup that makes no sense.
MemoryEstimate training_memory(const models::Architecture& model, const VideoSize& video,
                               const std::vector<BlockChoice>& blocks, const TrainingSetup& setup);

/// The plan that runs least again within `bytes`: none again, or as many of the last blocks as fit, the others
/// selective; or selective and full. `setup.recompute` is not read.
models::RecomputePlan fitting_recompute(const models::Architecture& model, const VideoSize& video,
                                        const std::vector<BlockChoice>& blocks, TrainingSetup setup,
                                        std::int64_t bytes);

/// Bytes of a dataset of so many clips: float32 latents and, for each clip, `text_tokens` x `text_width` embeddings.
std::int64_t dataset_bytes(const models::Architecture& model, const VideoSize& video, std::int64_t clips);

}  // namespace rehyat::analysis
