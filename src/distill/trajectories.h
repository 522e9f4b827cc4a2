#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <string>
#include <vector>

#include "data/cache/activation_cache.h"
#include "distill/config.h"
#include "models/video_transformer.h"

/// The teacher's trajectories (paper, Eq. 19): prompts x noise samples x denoising steps.
namespace rehyat::distill {

/// What the teacher is asked for. An embedding is read when it is needed: those of many prompts fit in no memory.
struct Prompts {
  std::size_t count = 0;
  std::function<at::Tensor(std::size_t)> embedding;  ///< of one prompt, [L,D]
  at::Tensor empty;                                  ///< of the empty prompt, [L,D]
};

/// Guidance branches of a step, and points kept of one trajectory.
std::int64_t branch_count(const CacheConfig& config);
std::int64_t points_per_trajectory(const CacheConfig& config);

/// Bytes of the points of so many trajectories; `latent` = [T,H,W].
std::int64_t point_bytes(const models::Architecture& model, const CacheConfig& config, std::int64_t trajectories,
                         std::int64_t blocks, const std::vector<std::int64_t>& latent);

/// Throws UserError where no prompt, or none to train on, would be left: before any work is done for nothing.
void check_prompts(const CacheConfig& config, std::size_t prompts);

/// True for each prompt that is held out, with all its trajectories: at least one, at most all but one.
std::vector<bool> held_out_prompts(const CacheConfig& config, std::size_t prompts, std::uint64_t seed);

/// One walk of the teacher from noise to a video. `purpose` and `number` name its random streams.
struct Trajectory {
  std::string purpose;
  std::int64_t number = 0;
  std::size_t prompt = 0;
};

/// The kept (step, branch) points of a trajectory, drawn without repetition, in the order in which they are reached.
std::vector<data::CachePoint> kept_points(const CacheConfig& config, std::uint64_t seed, const Trajectory& trajectory);

/// What a walk runs: it ends with its last kept point.
struct WalkLength {
  std::int64_t steps = 0;        ///< denoising steps, the last of which may have one guidance branch alone
  std::int64_t evaluations = 0;  ///< of the teacher

  WalkLength& operator+=(const WalkLength& other);
};
WalkLength walk_length(const CacheConfig& config, std::uint64_t seed, const Trajectory& trajectory);
/// Evaluations of a walk on average over all that may be drawn.
double mean_evaluations(const CacheConfig& config);

/// The cache's trajectories, numbered prompt by prompt, and the length of the first `count` of them together.
Trajectory cache_trajectory(const CacheConfig& config, std::int64_t number);
WalkLength cache_walks(const CacheConfig& config, std::uint64_t seed, std::int64_t count);

/// Receives a kept point's number, the block, the attention's input [N,dim] and, with store_targets, its output
/// [N,dim]; both in the stored type.
using KeepPoint =
    std::function<void(std::int64_t point, std::int64_t block, const at::Tensor& input, const at::Tensor& target)>;

/// What all walks share.
struct TeacherWalk {
  models::VideoTransformer teacher{nullptr};
  CacheConfig config;
  std::vector<std::int64_t> blocks, latent;
  Prompts prompts;
  std::uint64_t seed = 0;

  /// Samples with guidance up to the last kept point; `on_step` after each denoising step, walk_length().steps times.
  /// The noise, and so the points, depend on (seed, trajectory) alone.
  void run(const Trajectory& trajectory, const KeepPoint& keep, const std::function<void()>& on_step);
};

}  // namespace rehyat::distill
