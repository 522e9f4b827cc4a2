#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "data/activation_cache.h"
#include "dist/communicator.h"
#include "distill/config.h"
#include "models/wan/transformer.h"

namespace rehyat::distill {

struct Prompt {
  std::string text;
  at::Tensor embedding;  ///< [L,D]
};

/// What a cache is made of; also its size before a byte is written.
struct CachePlan {
  std::vector<Prompt> prompts;
  std::vector<std::int64_t> blocks;
  std::vector<std::int64_t> latent;  ///< T, H, W
  std::int64_t bytes = 0, trajectories = 0;
};

/// Throws UserError when the cache would be larger than its quota or the disk.
CachePlan plan_cache(const models::WanConfig& model, const CacheConfig& config, std::vector<Prompt> prompts,
                     std::vector<std::int64_t> blocks, std::vector<std::int64_t> latent,
                     const std::filesystem::path& folder);

/// Runs the teacher over its trajectories (prompts x seeds) and stores the inputs of the wanted blocks' self-attention
/// at the kept points. Trajectories are shared out over the ranks; finished ones are kept by a run that is started
/// again. Collective.
void collect_activations(models::WanTransformer& teacher, const CacheConfig& config, const CachePlan& plan,
                         const at::Tensor& empty_text, std::uint64_t seed, const data::Identity& identity,
                         const std::filesystem::path& folder, const dist::Communicator& world);

}  // namespace rehyat::distill
