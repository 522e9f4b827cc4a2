#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>

#include "analysis/cost.h"

/// Memory and disk that a run needs. Parameters, optimizer and files are counted; activations are an estimate that is
/// meant to be right within a third, stated so that a run which cannot fit is recognised before it starts.
namespace rehyat::analysis {

struct TrainingSetup {
  bool distill = false;            ///< only one block's phi is trained at a time, the rest is frozen
  std::int64_t batch = 1;          ///< samples a rank holds at once
  std::int64_t compute_bytes = 2;  ///< of a number in the forward pass: 2 for bf16 and fp16, 4 for fp32
  bool checkpointing = true;       ///< keep block inputs only and recompute the rest
  bool ema = false;
  std::int64_t shards = 1;  ///< ranks over which the optimizer's state is split

  /// Throws UserError on numbers that make no sense.
  void validate() const;
};

/// Bytes on one rank.
struct MemoryEstimate {
  std::int64_t weights = 0;    ///< fp32 masters, a copy in the compute type where that is narrower, EMA
  std::int64_t gradients = 0;  ///< fp32
  std::int64_t optimizer = 0;  ///< AdamW's two moments, fp32
  std::int64_t activations = 0;
  std::int64_t total() const { return weights + gradients + optimizer + activations; }
};
nlohmann::ordered_json to_json(const MemoryEstimate& estimate);

/// Activations are counted as: the input of each block; within a block what the architecture says that it saves, and
/// for a converted block phi's hidden layer and features of q and k with their derivatives. Without checkpointing every
/// block holds them, with it one at a time.
MemoryEstimate training_memory(const models::Architecture& model, const VideoSize& video,
                               const std::vector<BlockChoice>& blocks, const TrainingSetup& setup);

/// The activation cache of stage 1: attention inputs [N, dim] of the kept (prompt, step, branch), and targets of the
/// same size if they are stored.
struct CacheSetup {
  std::int64_t prompts = 1, steps = 50, branches = 2, blocks = 30;
  bool store_targets = false;
  std::int64_t bytes = 2;  ///< of a number
};
std::int64_t cache_bytes(const models::Architecture& model, const VideoSize& video, const CacheSetup& setup);

/// The dataset of stage 2: float32 latents and, for each clip, `text_tokens` x `text_width` embeddings.
std::int64_t dataset_bytes(const models::Architecture& model, const VideoSize& video, std::int64_t clips);

}  // namespace rehyat::analysis
