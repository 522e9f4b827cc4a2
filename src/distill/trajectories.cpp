#include "distill/trajectories.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/rng.h"
#include "core/strings.h"
#include "models/attention/tap.h"
#include "sampling/generate.h"

namespace rehyat::distill {

std::int64_t branch_count(const CacheConfig& config) {
  return config.guidance != 1 ? 2 : 1;
}

std::int64_t points_per_trajectory(const CacheConfig& config) {
  return std::min(config.keep_per_trajectory, config.sampler.steps * branch_count(config));
}

std::int64_t point_bytes(const models::Architecture& model, const CacheConfig& config, std::int64_t trajectories,
                         std::int64_t blocks, const std::vector<std::int64_t>& latent) {
  const auto grid = model.grid({latent[0], latent[1], latent[2]});
  return data::cache_bytes(trajectories, points_per_trajectory(config), blocks, grid[0] * grid[1] * grid[2], model.dim,
                           config.type == CacheType::bf16 ? 2 : 4, config.store_targets);
}

void check_prompts(const CacheConfig& config, std::size_t prompts) {
  require(config.validation_share > 0, [] {
    return "cache.validation_share: found 0, expected above 0: distillation measures its error on held-out prompts";
  });
  require(prompts >= 2, [&] {
    return cat("[cache] found ", prompts, prompts == 1 ? " prompt" : " prompts",
               ", expected at least two, one to train on and one to measure on; name more in cache.prompts or prepare "
               "clips with more captions");
  });
}

std::vector<bool> held_out_prompts(const CacheConfig& config, std::size_t prompts, std::uint64_t seed) {
  check_prompts(config, prompts);
  std::vector<std::size_t> order(prompts);
  for (std::size_t i = 0; i < prompts; ++i) order[i] = i;
  Rng(seed, "cache.split").shuffle(order);
  const auto wanted = std::llround(config.validation_share * static_cast<double>(prompts));
  const auto count = std::clamp<std::size_t>(static_cast<std::size_t>(wanted), 1, prompts - 1);
  std::vector<bool> held(prompts, false);
  for (std::size_t i = 0; i < count; ++i) held[order[i]] = true;
  return held;
}

std::vector<data::CachePoint> kept_points(const CacheConfig& config, std::uint64_t seed, const Trajectory& trajectory) {
  const std::int64_t branches = branch_count(config);
  std::vector<std::int64_t> all;
  for (std::int64_t i = 0; i < config.sampler.steps * branches; ++i) all.push_back(i);
  Rng(seed, trajectory.purpose + ".points", {static_cast<std::uint64_t>(trajectory.number)}).shuffle(all);
  all.resize(static_cast<std::size_t>(points_per_trajectory(config)));
  std::sort(all.begin(), all.end());
  std::vector<data::CachePoint> points;
  for (const std::int64_t i : all) points.push_back({i / branches, i % branches == 0});
  return points;
}

WalkLength& WalkLength::operator+=(const WalkLength& other) {
  steps += other.steps;
  evaluations += other.evaluations;
  return *this;
}

WalkLength walk_length(const CacheConfig& config, std::uint64_t seed, const Trajectory& trajectory) {
  const data::CachePoint last = kept_points(config, seed, trajectory).back();
  return {last.step + 1, last.step * branch_count(config) + (last.conditional ? 1 : 2)};
}

double mean_evaluations(const CacheConfig& config) {
  // The largest of k numbers drawn from 1 ... n without repetition is k (n + 1) / (k + 1) on average.
  const auto n = static_cast<double>(config.sampler.steps * branch_count(config)),
             k = static_cast<double>(points_per_trajectory(config));
  return k * (n + 1) / (k + 1);
}

Trajectory cache_trajectory(const CacheConfig& config, std::int64_t number) {
  return {"cache", number, static_cast<std::size_t>(number / config.seeds)};
}

WalkLength cache_walks(const CacheConfig& config, std::uint64_t seed, std::int64_t count) {
  WalkLength all;
  for (std::int64_t i = 0; i < count; ++i) all += walk_length(config, seed, cache_trajectory(config, i));
  return all;
}

void TeacherWalk::run(const Trajectory& trajectory, const KeepPoint& keep, const std::function<void()>& on_step) {
  const std::vector<data::CachePoint> points = kept_points(config, seed, trajectory);
  const at::ScalarType type = config.type == CacheType::bf16 ? at::kBFloat16 : at::kFloat;
  const auto device = teacher->parameters().front().device();
  sampling::Request request;
  request.sampler = config.sampler;
  request.guidance = config.guidance;
  request.shape = {teacher->architecture().channels, latent[0], latent[1], latent[2]};
  request.seed = seed;
  request.purpose = trajectory.purpose;
  request.sample = static_cast<std::uint64_t>(trajectory.number);
  request.compute = compute_type(config.precision, device);
  request.on_step = on_step;
  auto point = points.end();  // of the evaluation that runs, where it is kept
  request.on_evaluation = [&](const sampling::Evaluation& now) {
    point = std::find_if(points.begin(), points.end(), [&](const data::CachePoint& p) {
      return p.step == now.step && p.conditional == now.conditional;
    });
  };
  const models::TapScope tap(teacher, blocks,
                             [&](std::int64_t block, const at::Tensor& input, const at::Tensor& output) {
                               if (point == points.end()) return;
                               keep(point - points.begin(), block, input[0].to(type),
                                    config.store_targets ? output[0].to(type) : at::Tensor());
                             });
  const data::CachePoint& last = points.back();
  sampling::evaluate_until({last.step, last.conditional}, teacher, request,
                           prompts.embedding(trajectory.prompt).to(device), prompts.empty.to(device));
}

}  // namespace rehyat::distill
