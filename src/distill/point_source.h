#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <vector>

#include "data/cache/activation_cache.h"
#include "data/dataset/split.h"

namespace rehyat::distill {

/// Where distillation takes its points from: inputs of the teacher's self-attention at (trajectory, step, branch).
/// Training goes in rounds, each with points of its own; which points a round has does not depend on the ranks.
class PointSource {
 public:
  virtual ~PointSource() = default;
  virtual const std::vector<std::int64_t>& blocks() const = 0;
  virtual const std::vector<std::int64_t>& latent() const = 0;  ///< T, H, W

  /// Whether every rank can read every block's points, so that blocks may go to whoever is free. Otherwise the i-th
  /// block of `share_out` belongs to rank i mod size.
  virtual bool readable_everywhere() const = 0;
  virtual std::int64_t rounds() const = 0;
  /// Before the first round: the blocks that are still to be trained. Collective.
  virtual void share_out(const std::vector<std::int64_t>& open) = 0;
  /// Makes the points of a round the training split. Collective.
  virtual void begin_round(std::int64_t round) = 0;

  virtual std::int64_t size(data::Split split) const = 0;
  /// Input [N,dim] of a block at the i-th point, in the stored type, on the CPU. Between two collective calls one
  /// thread at a time may ask.
  virtual at::Tensor input(data::Split split, std::int64_t i, std::int64_t block) const = 0;
  virtual bool has_targets() const = 0;
  /// The teacher's attention output [N,dim] before the output projection.
  virtual at::Tensor target(data::Split split, std::int64_t i, std::int64_t block) const = 0;
};

/// The points of a finished cache on disk: one round.
class CachedPoints : public PointSource {
 public:
  /// Points are read into memory of `memory`, where it is given.
  explicit CachedPoints(data::ActivationCache cache, HostMemory memory = {})
      : cache_(std::move(cache)), memory_(std::move(memory)) {}
  const std::vector<std::int64_t>& blocks() const override { return cache_.blocks(); }
  const std::vector<std::int64_t>& latent() const override { return cache_.latent(); }
  bool readable_everywhere() const override { return true; }
  std::int64_t rounds() const override { return 1; }
  void share_out(const std::vector<std::int64_t>&) override {}
  void begin_round(std::int64_t) override {}
  std::int64_t size(data::Split split) const override { return cache_.size(split); }
  at::Tensor input(data::Split split, std::int64_t i, std::int64_t block) const override {
    return cache_.input(split, i, block, memory_);
  }
  bool has_targets() const override { return cache_.has_targets(); }
  at::Tensor target(data::Split split, std::int64_t i, std::int64_t block) const override {
    return cache_.target(split, i, block, memory_);
  }

 private:
  data::ActivationCache cache_;
  HostMemory memory_;
};

}  // namespace rehyat::distill
