#include "distill/online.h"

#include <algorithm>

#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/rng.h"
#include "core/signals.h"
#include "core/strings.h"

namespace rehyat::distill {
namespace {

std::int64_t held_out_trajectories(const CacheConfig& config, const DistillConfig& distill) {
  const std::int64_t points = points_per_trajectory(config);
  return (distill.validation_samples + points - 1) / points;
}

}  // namespace

std::int64_t online_bytes(const models::WanConfig& model, const CacheConfig& config, const DistillConfig& distill,
                          std::int64_t blocks, const std::vector<std::int64_t>& latent) {
  const std::int64_t trajectories =
      distill.online.value_or(OnlineConfig()).trajectories + held_out_trajectories(config, distill);
  return point_bytes(model, config, trajectories, blocks, latent);
}

OnlinePoints::OnlinePoints(TeacherWalk walk, const DistillConfig& config, const comm::Communicator& world)
    : walk_(std::move(walk)),
      config_(config.online.value_or(OnlineConfig())),
      rounds_(std::max<std::int64_t>(std::min(config_.rounds, config.train.iterations), 1)),
      held_trajectories_(held_out_trajectories(walk_.config, config)),
      points_(points_per_trajectory(walk_.config)),
      world_(world) {
  const std::int64_t bytes = online_bytes(walk_.teacher->config(), walk_.config, config,
                                          static_cast<std::int64_t>(walk_.blocks.size()), walk_.latent);
  require(bytes <= config_.memory, [&] {
    return cat("distill.online.memory: found ", human_bytes(bytes), " of points (", config_.trajectories,
               " trajectories a round and ", held_trajectories_, " held-out ones), expected at most ",
               human_bytes(config_.memory),
               "; lower distill.online.trajectories, distill.validation_samples or cache.keep_per_trajectory, or raise "
               "it");
  });
  const std::vector<bool> held = held_out_prompts(walk_.config, walk_.prompts.count, walk_.seed);
  for (std::size_t i = 0; i < held.size(); ++i) (held[i] ? held_prompts_ : train_prompts_).push_back(i);
}

void OnlinePoints::share_out(const std::vector<std::int64_t>& open) {
  open_ = open;
  if (open.empty()) return;
  std::vector<Trajectory> trajectories;
  for (std::int64_t i = 0; i < held_trajectories_; ++i)
    trajectories.push_back({"online.held_out", i, held_prompts_[static_cast<std::size_t>(i) % held_prompts_.size()]});
  validation_ = collect(trajectories, "held-out points");
}

std::size_t OnlinePoints::training_prompt(std::int64_t number) const {
  const auto count = static_cast<std::int64_t>(train_prompts_.size()), turn = number / walk_.config.seeds;
  std::vector<std::size_t> order(train_prompts_.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  Rng(walk_.seed, "online.prompts", {static_cast<std::uint64_t>(turn / count)}).shuffle(order);
  return train_prompts_[order[static_cast<std::size_t>(turn % count)]];
}

void OnlinePoints::begin_round(std::int64_t round) {
  train_.clear();  // before the next ones are made: only one round fits
  std::vector<Trajectory> trajectories;
  for (std::int64_t i = 0; i < config_.trajectories; ++i) {
    const std::int64_t number = round * config_.trajectories + i;
    trajectories.push_back({"online", number, training_prompt(number)});
  }
  train_ = collect(trajectories, cat("round ", round + 1, " of ", rounds_));
}

OnlinePoints::Points OnlinePoints::collect(const std::vector<Trajectory>& trajectories, const std::string& title) {
  Points out(trajectories.size() * static_cast<std::size_t>(points_));
  world_.together([&] {
    const std::int64_t share = (static_cast<std::int64_t>(trajectories.size()) + world_.size() - 1) / world_.size();
    Progress progress("distill, teacher, " + title, share * walk_.config.sampler.steps, "steps");
    for (std::size_t t = static_cast<std::size_t>(world_.rank()); t < trajectories.size();
         t += static_cast<std::size_t>(world_.size())) {
      walk_.run(
          trajectories[t],
          [&](std::int64_t point, std::int64_t block, const at::Tensor& input, const at::Tensor& target) {
            if (std::find(open_.begin(), open_.end(), block) == open_.end()) return;
            out[t * static_cast<std::size_t>(points_) + static_cast<std::size_t>(point)][block] = {
                input.to(at::kCPU).contiguous(), target.defined() ? target.to(at::kCPU).contiguous() : target};
          },
          [&] {
            progress.advance();
            world_.poll();
            if (stop_requested()) throw Stopped("distill stopped; start the same command again to go on");
          });
    }
    progress.finish();
  });
  exchange(out);
  return out;
}

/// Every point goes to the owner of its block; what was sent on is let go.
void OnlinePoints::exchange(Points& points) const {
  if (world_.size() == 1) return;
  const std::int64_t patch = walk_.teacher->config().patch;
  const std::int64_t tokens = walk_.latent[0] * (walk_.latent[1] / patch) * (walk_.latent[2] / patch);
  const at::Tensor blank = at::empty({tokens, walk_.teacher->config().dim},
                                     walk_.config.type == CacheType::bf16 ? at::kBFloat16 : at::kFloat);
  for (std::size_t i = 0; i < points.size(); ++i) {
    const int root = static_cast<int>(i / static_cast<std::size_t>(points_) % static_cast<std::size_t>(world_.size()));
    for (const std::int64_t block : open_) {
      Point point;
      if (world_.rank() == root) {
        point = points[i].at(block);
      } else {
        point = {at::empty_like(blank), has_targets() ? at::empty_like(blank) : at::Tensor()};
      }
      world_.broadcast(point.input, root);
      if (has_targets()) world_.broadcast(point.target, root);
      if (mine(block)) {
        points[i][block] = std::move(point);
      } else {
        points[i].erase(block);
      }
    }
  }
}

bool OnlinePoints::mine(std::int64_t block) const {
  const auto at = std::find(open_.begin(), open_.end(), block) - open_.begin();
  return at % world_.size() == world_.rank();
}

std::int64_t OnlinePoints::size(data::Split split) const {
  return static_cast<std::int64_t>((split == data::Split::train ? train_ : validation_).size());
}

const OnlinePoints::Point& OnlinePoints::point(data::Split split, std::int64_t i, std::int64_t block) const {
  return (split == data::Split::train ? train_ : validation_).at(static_cast<std::size_t>(i)).at(block);
}

at::Tensor OnlinePoints::input(data::Split split, std::int64_t i, std::int64_t block) const {
  return point(split, i, block).input;
}

at::Tensor OnlinePoints::target(data::Split split, std::int64_t i, std::int64_t block) const {
  return point(split, i, block).target;
}

}  // namespace rehyat::distill
