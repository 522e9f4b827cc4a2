#include "distill/collect.h"

#include <chrono>

#include "comm/idle_ranks.h"
#include "comm/root.h"
#include "comm/work_queue.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/strings.h"
#include "core/units.h"
#include "data/cache/trajectory_on_thread.h"
#include "files/atomic_file.h"

namespace rehyat::distill {

namespace {

constexpr std::size_t kPointsOnTheWay = 4;  // in memory at once, between the teacher and the disk

}  // namespace

CachePlan plan_cache(const models::Architecture& model, const CacheConfig& config, std::size_t prompts,
                     const std::vector<std::int64_t>& blocks, const std::vector<std::int64_t>& latent,
                     const std::filesystem::path& folder) {
  check_prompts(config, prompts);
  require(!blocks.empty(), [] {
    return "[cache] found no block to convert, expected at least one; check hybrid.blocks and hybrid.attention.kind, "
           "or hybrid.groups";
  });
  CachePlan plan;
  plan.trajectories = static_cast<std::int64_t>(prompts) * config.seeds;
  const auto bytes_of = [&](std::int64_t trajectories) {
    return point_bytes(model, config, trajectories, static_cast<std::int64_t>(blocks.size()), latent);
  };
  plan.bytes = bytes_of(plan.trajectories);
  require(plan.bytes <= config.quota, [&] {
    return cat("cache.quota: found a cache of ", human_bytes(plan.bytes), ", expected at most ",
               human_bytes(config.quota), "; keep fewer points, prompts or blocks, or raise the quota");
  });
  std::int64_t open = 0;
  for (std::int64_t i = 0; i < plan.trajectories; ++i) open += data::trajectory_done(folder, i) ? 0 : 1;
  plan.left = bytes_of(open);
  require_space(folder, static_cast<std::uint64_t>(plan.left), "the activation cache");
  return plan;
}

void collect_activations(TeacherWalk& walk, const CachePlan& plan, const MarkedFolder& folder,
                         const comm::Communicator& world) {
  const CacheConfig& config = walk.config;
  const auto open = comm::from_root<std::vector<std::int64_t>>(world, [&] {
    std::vector<std::int64_t> left;
    for (std::int64_t i = 0; i < plan.trajectories; ++i) {
      if (!data::trajectory_done(folder.path(), i)) left.push_back(i);
    }
    return left;
  });
  const auto count = static_cast<std::int64_t>(open.size());
  // Whoever is free takes the next one: uneven shares cost little where there are many.
  if (count < world.size()) comm::warn_of_idle_ranks({"[cache]", count, "trajectories", "cache.seeds"}, world);
  comm::WorkQueue queue(world, count);
  const CopyStream copies(walk.teacher->parameters().front().device());
  const auto collect = [&] {
    const auto start = std::chrono::steady_clock::now();
    IoThread writer(kPointsOnTheWay, [&] { world.poll(); });
    const std::int64_t steps = cache_walks(config, walk.seed, plan.trajectories).steps;
    std::int64_t left = 0;
    for (const std::int64_t number : open)
      left += walk_length(config, walk.seed, cache_trajectory(config, number)).steps;
    Progress progress(cat("cache (", human_bytes(plan.bytes), ")"), steps, "steps", steps - left);
    while (const auto job = queue.next()) {
      const std::int64_t trajectory = open[static_cast<std::size_t>(*job)];
      const Trajectory walked = cache_trajectory(config, trajectory);
      data::TrajectoryOnThread file(writer, copies, folder.path(), trajectory);
      walk.run(
          walked,
          [&](std::int64_t point, std::int64_t block, const at::Tensor& input, const at::Tensor& target) {
            file.add(point, block, input, target);
          },
          [&] {
            progress.advance(world.size());  // the ranks keep about the same pace
            world.poll();
            if (!stop_requested()) return;
            writer.finish();  // a trajectory that is walked to its end is kept
            throw Stopped("cache stopped; start the same command again to go on with the trajectories that are left");
          });
      file.commit(kept_points(config, walk.seed, walked));
    }
    writer.finish();
    progress.finish();
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    log::info("cache: ", human_seconds(writer.seconds_of_waiting()), " of ", human_seconds(seconds),
              " waited for the disk");
  };
  world.all_or_none(collect, comm::Communicator::Length::lengthy);
  comm::on_root(world, [&] {
    const std::vector<bool> held = held_out_prompts(config, walk.prompts.count, walk.seed);
    std::vector<bool> validation;
    for (std::int64_t i = 0; i < plan.trajectories; ++i)
      validation.push_back(held[static_cast<std::size_t>(i / config.seeds)]);
    data::finish_cache(folder, validation, walk.blocks, walk.latent);
  });
}

}  // namespace rehyat::distill
