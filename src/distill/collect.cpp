#include "distill/collect.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/json.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/signals.h"
#include "core/strings.h"
#include "dist/work_queue.h"
#include "sampling/generate.h"

namespace rehyat::distill {
namespace {

/// The kept (step, branch) points of one trajectory, drawn without repetition, in the order in which they are reached.
std::vector<data::CachePoint> kept_points(const CacheConfig& config, std::uint64_t seed, std::int64_t trajectory) {
  const std::int64_t branches = config.guidance != 1 ? 2 : 1;
  std::vector<std::int64_t> all;
  for (std::int64_t i = 0; i < config.sampler.steps * branches; ++i) all.push_back(i);
  Rng(seed, "cache.points", {static_cast<std::uint64_t>(trajectory)}).shuffle(all);
  all.resize(static_cast<std::size_t>(
      std::min<std::int64_t>(config.keep_per_trajectory, static_cast<std::int64_t>(all.size()))));
  std::sort(all.begin(), all.end());
  std::vector<data::CachePoint> points;
  for (const std::int64_t i : all) points.push_back({i / branches, i % branches == 0});
  return points;
}

/// Whole prompts are held out, with all their trajectories.
std::vector<bool> held_out(const CachePlan& plan, const CacheConfig& config, std::uint64_t seed) {
  std::vector<std::size_t> order(plan.prompts.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  Rng(seed, "cache.split").shuffle(order);
  std::size_t count =
      static_cast<std::size_t>(std::llround(config.validation_share * static_cast<double>(order.size())));
  if (config.validation_share > 0 && order.size() > 1) count = std::clamp<std::size_t>(count, 1, order.size() - 1);
  const std::set<std::size_t> held(order.begin(),
                                   order.begin() + static_cast<std::ptrdiff_t>(std::min(count, order.size())));
  std::vector<bool> out;
  for (std::int64_t i = 0; i < plan.trajectories; ++i)
    out.push_back(held.contains(static_cast<std::size_t>(i / config.seeds)));
  return out;
}

}  // namespace

CachePlan plan_cache(const models::WanConfig& model, const CacheConfig& config, std::vector<Prompt> prompts,
                     std::vector<std::int64_t> blocks, std::vector<std::int64_t> latent,
                     const std::filesystem::path& folder) {
  require(!prompts.empty(), [] { return "[cache] found no prompt, expected at least one; check cache.prompts"; });
  require(!blocks.empty(), [] {
    return "[cache] found no block to convert, expected at least one; check hybrid.blocks and hybrid.attention.kind";
  });
  CachePlan plan{std::move(prompts), std::move(blocks), std::move(latent), 0, 0};
  plan.trajectories = static_cast<std::int64_t>(plan.prompts.size()) * config.seeds;
  const std::int64_t branches = config.guidance != 1 ? 2 : 1,
                     points = std::min(config.keep_per_trajectory, config.sampler.steps * branches);
  const std::int64_t tokens = plan.latent[0] * (plan.latent[1] / model.patch) * (plan.latent[2] / model.patch);
  plan.bytes = data::cache_bytes(plan.trajectories, points, static_cast<std::int64_t>(plan.blocks.size()), tokens,
                                 model.dim, config.type == CacheType::bf16 ? 2 : 4, config.store_targets);
  require(plan.bytes <= config.quota, [&] {
    return cat("cache.quota: found a cache of ", human_bytes(plan.bytes), ", expected at most ",
               human_bytes(config.quota), "; keep fewer points, prompts or blocks, or raise the quota");
  });
  require_space(folder, static_cast<std::uint64_t>(plan.bytes), "the activation cache");
  return plan;
}

void collect_activations(models::WanTransformer& teacher, const CacheConfig& config, const CachePlan& plan,
                         const at::Tensor& empty_text, std::uint64_t seed, const data::Identity& identity,
                         const std::filesystem::path& folder, const dist::Communicator& world) {
  std::vector<std::int64_t> open;
  world.together([&] {
    if (world.rank() == 0) data::open_folder(folder, identity);
  });
  // Rank 0's view of the folder counts: all ranks must share the same list.
  for (std::int64_t i = 0; i < plan.trajectories && world.rank() == 0; ++i) {
    if (!data::trajectory_done(folder, i)) open.push_back(i);
  }
  open = parse_json(world.broadcast(nlohmann::ordered_json(open).dump(), 0), "cache").get<std::vector<std::int64_t>>();
  const std::set<std::int64_t> wanted(plan.blocks.begin(), plan.blocks.end());
  const at::ScalarType type = config.type == CacheType::bf16 ? at::kBFloat16 : at::kFloat;
  const auto device = teacher->parameters().front().device();
  dist::WorkQueue queue(world, static_cast<std::int64_t>(open.size()));
  const auto collect = [&] {
    Progress progress(cat("cache (", human_bytes(plan.bytes), ")"), plan.trajectories * config.sampler.steps, "steps",
                      (plan.trajectories - static_cast<std::int64_t>(open.size())) * config.sampler.steps);
    while (const auto job = queue.next()) {
      const std::int64_t trajectory = open[static_cast<std::size_t>(*job)];
      const Prompt& prompt = plan.prompts[static_cast<std::size_t>(trajectory / config.seeds)];
      const std::vector<data::CachePoint> points = kept_points(config, seed, trajectory);
      data::TrajectoryWriter file(folder, trajectory);
      sampling::Request request;
      request.sampler = config.sampler;
      request.guidance = config.guidance;
      request.shape = {teacher->config().in_channels, plan.latent[0], plan.latent[1], plan.latent[2]};
      request.seed = seed;
      request.sample = static_cast<std::uint64_t>(trajectory);
      request.prepare = [&](std::int64_t step, bool conditional, models::ForwardOptions& options) {
        const auto found = std::find_if(points.begin(), points.end(), [&](const data::CachePoint& p) {
          return p.step == step && p.conditional == conditional;
        });
        if (found == points.end()) return;
        options.tap = [&, point = found - points.begin()](std::int64_t block, const at::Tensor& input,
                                                          const at::Tensor& output) {
          if (!wanted.contains(block)) return;
          file.add(point, block, input[0].to(type), config.store_targets ? output[0].to(type) : at::Tensor());
        };
      };
      request.on_step = [&] {
        progress.advance(world.size());  // the ranks keep about the same pace
        world.poll();
        if (stop_requested())
          throw Stopped("cache stopped; start the same command again to go on with the trajectories that are left");
      };
      sampling::generate(teacher, request, prompt.embedding.to(device), empty_text.to(device));
      file.commit(points);
    }
    progress.finish();
  };
  world.together(collect, dist::Communicator::Length::lengthy);
  world.together([&] {
    if (world.rank() == 0) data::finish_cache(folder, identity, held_out(plan, config, seed), plan.blocks, plan.latent);
  });
}

}  // namespace rehyat::distill
