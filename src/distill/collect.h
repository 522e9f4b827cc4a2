#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/cache/activation_cache.h"
#include "distill/trajectories.h"

namespace rehyat::distill {

/// The size of a cache before a byte is written.
struct CachePlan {
  std::int64_t bytes = 0, trajectories = 0;
  std::int64_t left = 0;  ///< bytes that are still to be written: an earlier start may have finished some trajectories
};

/// Throws UserError when distillation could not use the cache, or when it would be larger than its quota or what is
/// left of it than the disk. `latent` = [T,H,W].
CachePlan plan_cache(const models::Architecture& model, const CacheConfig& config, std::size_t prompts,
                     const std::vector<std::int64_t>& blocks, const std::vector<std::int64_t>& latent,
                     const std::filesystem::path& folder);

/// Runs the teacher over its trajectories (prompts x seeds) and stores the inputs of the wanted blocks' self-attention
/// at the kept points. Trajectories are shared out over the ranks; a run that is started again takes the finished ones
/// as they are. `folder` is a data::cache_folder that rank 0 has opened. Collective.
void collect_activations(TeacherWalk& walk, const CachePlan& plan, const MarkedFolder& folder,
                         const comm::Communicator& world);

}  // namespace rehyat::distill
