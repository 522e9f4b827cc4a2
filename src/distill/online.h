#pragma once

#include <map>
#include <vector>

#include "comm/communicator.h"
#include "distill/point_source.h"
#include "distill/trajectories.h"

namespace rehyat::distill {

/// Bytes of all points held at once, over all ranks: those of one round and the held-out ones.
std::int64_t online_bytes(const models::Architecture& model, const CacheConfig& config, const DistillConfig& distill,
                          std::int64_t blocks, const std::vector<std::int64_t>& latent);

/// All walks of a distillation: of its rounds and of the held-out points.
WalkLength online_walks(const CacheConfig& config, const DistillConfig& distill, std::uint64_t seed);

/// Throws UserError when the points held at once would need more memory than distill.online.memory.
void check_online(const models::Architecture& model, const CacheConfig& config, const DistillConfig& distill,
                  std::int64_t blocks, const std::vector<std::int64_t>& latent);

/// Points of a teacher that runs beside the students; nothing is written. Round r has the trajectories r*K ... r*K+K-1,
/// whose prompts come in a seeded order (anew each time all have had their turn) and whose noise is never repeated;
/// they depend on (seed, number) alone, so that a round can be made again. The held-out points are of prompts that no
/// round has. Ranks share the walks and then give each block's points to the rank that the block belongs to.
class OnlinePoints : public PointSource {
 public:
  /// Throws UserError when the points of a round need more memory than distill.online.memory, and when no prompt would
  /// be left to train or to measure on.
  OnlinePoints(TeacherWalk walk, const DistillConfig& config, const comm::Communicator& world);

  const std::vector<std::int64_t>& blocks() const override { return walk_.blocks; }
  const std::vector<std::int64_t>& latent() const override { return walk_.latent; }
  bool readable_everywhere() const override { return false; }
  std::int64_t rounds() const override { return rounds_; }
  void share_out(const std::vector<std::int64_t>& open) override;
  void begin_round(std::int64_t round) override;

  std::int64_t size(data::Split split) const override;
  at::Tensor input(data::Split split, std::int64_t i, std::int64_t block) const override;
  bool has_targets() const override { return walk_.config.store_targets; }
  /// Bytes of points that this rank has received from others so far.
  std::int64_t received_bytes() const { return received_; }
  at::Tensor target(data::Split split, std::int64_t i, std::int64_t block) const override;

 private:
  struct Point {
    at::Tensor input, target;
  };
  using Points = std::vector<std::map<std::int64_t, Point>>;  ///< by block; only of this rank's blocks

  Points collect(const std::vector<Trajectory>& trajectories, const std::string& title);
  /// Sends every point to the rank that its block belongs to, and frees what was sent.
  void give_to_owners(Points& points, std::int64_t trajectories);
  int walker_of(std::int64_t trajectory) const;  ///< the rank that walks the i-th trajectory of a round
  int owner_of(std::int64_t block) const;        ///< the rank that trains this block
  const Point& point(data::Split split, std::int64_t i, std::int64_t block) const;
  std::size_t training_prompt(std::int64_t number) const;

  TeacherWalk walk_;
  std::vector<std::size_t> train_prompts_, held_prompts_;
  OnlineConfig config_;
  std::int64_t rounds_, held_trajectories_, points_;
  const comm::Communicator& world_;
  std::vector<std::int64_t> open_;  ///< blocks that are still to be trained
  std::int64_t received_ = 0;
  Points train_, validation_;
};

}  // namespace rehyat::distill
