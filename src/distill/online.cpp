#include "distill/online.h"

#include <algorithm>
#include <utility>

#include "comm/exchange.h"
#include "comm/idle_ranks.h"
#include "core/error.h"
#include "core/log.h"
#include "core/progress.h"
#include "core/rng.h"
#include "core/signals.h"
#include "core/strings.h"
#include "core/units.h"
#include "tensor/host_copy.h"
#include "tensor/io_thread.h"

namespace rehyat::distill {
namespace {

constexpr std::size_t kPointsOnTheirWay = 4;  // from the teacher's device to memory

std::int64_t held_out_trajectories(const CacheConfig& config, const DistillConfig& distill) {
  const std::int64_t points = points_per_trajectory(config);
  return (distill.validation_samples + points - 1) / points;
}

std::int64_t round_count(const DistillConfig& distill) {
  const std::int64_t wanted = distill.online.value_or(OnlineConfig()).rounds;
  return std::max<std::int64_t>(std::min(wanted, distill.train.iterations), 1);
}

/// Without its prompt, on which the length of a walk does not depend.
Trajectory online_trajectory(std::int64_t number, bool held_out) {
  return {held_out ? "online.held_out" : "online", number, 0};
}

}  // namespace

std::int64_t online_bytes(const models::Architecture& model, const CacheConfig& config, const DistillConfig& distill,
                          std::int64_t blocks, const std::vector<std::int64_t>& latent) {
  const std::int64_t trajectories =
      distill.online.value_or(OnlineConfig()).trajectories + held_out_trajectories(config, distill);
  return point_bytes(model, config, trajectories, blocks, latent);
}

WalkLength online_walks(const CacheConfig& config, const DistillConfig& distill, std::uint64_t seed) {
  WalkLength all;
  const std::int64_t trained = round_count(distill) * distill.online.value_or(OnlineConfig()).trajectories;
  for (std::int64_t i = 0; i < held_out_trajectories(config, distill); ++i)
    all += walk_length(config, seed, online_trajectory(i, true));
  for (std::int64_t i = 0; i < trained; ++i) all += walk_length(config, seed, online_trajectory(i, false));
  return all;
}

void check_online(const models::Architecture& model, const CacheConfig& config, const DistillConfig& distill,
                  std::int64_t blocks, const std::vector<std::int64_t>& latent) {
  const OnlineConfig online = distill.online.value_or(OnlineConfig());
  const std::int64_t bytes = online_bytes(model, config, distill, blocks, latent);
  require(bytes <= online.memory, [&] {
    return cat("distill.online.memory: found ", human_bytes(bytes), " of points (", online.trajectories,
               " trajectories a round and ", held_out_trajectories(config, distill),
               " held-out ones), expected at most ", human_bytes(online.memory),
               "; lower distill.online.trajectories, distill.validation_samples or cache.keep_per_trajectory, or raise "
               "it");
  });
}

OnlinePoints::OnlinePoints(TeacherWalk walk, const DistillConfig& config, const comm::Communicator& world)
    : walk_(std::move(walk)),
      config_(config.online.value_or(OnlineConfig())),
      rounds_(round_count(config)),
      held_trajectories_(held_out_trajectories(walk_.config, config)),
      points_(points_per_trajectory(walk_.config)),
      world_(world) {
  check_online(walk_.teacher->architecture(), walk_.config, config, static_cast<std::int64_t>(walk_.blocks.size()),
               walk_.latent);
  const std::vector<bool> held = held_out_prompts(walk_.config, walk_.prompts.count, walk_.seed);
  for (std::size_t i = 0; i < held.size(); ++i) (held[i] ? held_prompts_ : train_prompts_).push_back(i);
  comm::warn_of_idle_ranks({"[distill]", config_.trajectories, "trajectories a round", "distill.online.trajectories"},
                           world_);
}

void OnlinePoints::share_out(const std::vector<std::int64_t>& open) {
  open_ = open;
  if (open.empty()) return;
  std::vector<Trajectory> trajectories;
  for (std::int64_t i = 0; i < held_trajectories_; ++i) {
    trajectories.push_back(online_trajectory(i, true));
    trajectories.back().prompt = held_prompts_[static_cast<std::size_t>(i) % held_prompts_.size()];
  }
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
    trajectories.push_back(online_trajectory(number, false));
    trajectories.back().prompt = training_prompt(number);
  }
  train_ = collect(trajectories, cat("round ", round + 1, " of ", rounds_));
}

OnlinePoints::Points OnlinePoints::collect(const std::vector<Trajectory>& trajectories, const std::string& title) {
  Points out(trajectories.size() * static_cast<std::size_t>(points_));
  const auto walk = [&] {
    WalkLength own;
    for (std::size_t t = 0; t < trajectories.size(); ++t) {
      if (walker_of(static_cast<std::int64_t>(t)) == world_.rank())
        own += walk_length(walk_.config, walk_.seed, trajectories[t]);
    }
    Progress progress("distill, teacher, " + title, own.steps, "steps");
    const CopyStream copies(walk_.teacher->parameters().front().device());
    IoThread keeper(kPointsOnTheirWay, [&] { world_.poll(); });
    for (std::size_t t = 0; t < trajectories.size(); ++t) {
      if (walker_of(static_cast<std::int64_t>(t)) != world_.rank()) continue;
      walk_.run(
          trajectories[t],
          [&](std::int64_t point, std::int64_t block, const at::Tensor& input, const at::Tensor& target) {
            if (std::find(open_.begin(), open_.end(), block) == open_.end()) return;
            Point& kept = out[t * static_cast<std::size_t>(points_) + static_cast<std::size_t>(point)][block];
            // What a round holds lies in plain memory; what is on its way alone is pinned.
            keeper.add(
                [&kept, in = copies.to_host(input), to = target.defined() ? copies.to_host(target) : HostCopy()] {
                  kept.input = in.get().clone();
                  if (to.defined()) kept.target = to.get().clone();
                });
          },
          [&] {
            progress.advance();
            world_.poll();
            if (stop_requested()) throw Stopped("distill stopped; start the same command again to go on");
          });
    }
    keeper.finish();
    progress.finish();
  };
  world_.all_or_none(walk, comm::Communicator::Length::lengthy);
  give_to_owners(out, static_cast<std::int64_t>(trajectories.size()));
  return out;
}

int OnlinePoints::walker_of(std::int64_t trajectory) const {
  return static_cast<int>(trajectory % world_.size());
}

int OnlinePoints::owner_of(std::int64_t block) const {
  const auto at = std::find(open_.begin(), open_.end(), block) - open_.begin();
  return static_cast<int>(at % world_.size());
}

void OnlinePoints::give_to_owners(Points& points, std::int64_t trajectories) {
  // One tensor of a point on its way.
  struct OnTheWay {
    std::int64_t point = 0, block = 0;
    bool target = false;
  };
  std::vector<OnTheWay> parts;
  std::vector<comm::Route> routes;
  // One point of each walker in turn, so that all ranks send and receive at the same time.
  for (std::int64_t first = 0; first < trajectories; first += world_.size()) {
    const std::int64_t last = std::min(first + world_.size(), trajectories);
    for (std::int64_t p = 0; p < points_; ++p) {
      for (const std::int64_t block : open_) {
        for (std::int64_t t = first; t < last; ++t) {
          for (const bool target : {false, true}) {
            if (target && !has_targets()) continue;
            parts.push_back({t * points_ + p, block, target});
            routes.push_back({walker_of(t), owner_of(block)});
          }
        }
      }
    }
  }
  Points owned(points.size());
  const auto tensor_of = [](Points& from, const OnTheWay& part) -> at::Tensor& {
    Point& point = from[static_cast<std::size_t>(part.point)][part.block];
    return part.target ? point.target : point.input;
  };
  const auto grid = walk_.teacher->architecture().grid({walk_.latent[0], walk_.latent[1], walk_.latent[2]});
  const std::int64_t tokens = grid[0] * grid[1] * grid[2];
  const comm::Cargo cargo{at::empty({tokens, walk_.teacher->architecture().dim},
                                    walk_.config.type == CacheType::bf16 ? at::kBFloat16 : at::kFloat),
                          [&](std::size_t i) { return std::exchange(tensor_of(points, parts[i]), at::Tensor()); },
                          [&](std::size_t i, at::Tensor tensor) { tensor_of(owned, parts[i]) = std::move(tensor); }};
  received_ += comm::exchange(routes, cargo, world_);
  points = std::move(owned);
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
