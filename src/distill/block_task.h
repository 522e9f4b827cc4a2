#pragma once

#include <vector>

#include "data/activation_cache.h"
#include "distill/config.h"
#include "models/attention/self_attention.h"
#include "train/task.h"

namespace rehyat::distill {

/// Distils phi_q and phi_k of one block: input = the teacher's own input to that attention, target = the teacher's
/// attention output before the output projection (paper, Eq. 19). Every other weight is frozen.
class BlockTask : public train::Task {
 public:
  /// `student` holds the teacher's projections and new feature maps; its teacher is the same with softmax attention.
  BlockTask(std::int64_t block, models::SelfAttention student, ops::RopeTables rope, const data::ActivationCache& cache,
            const DistillConfig& config, std::uint64_t seed);

  std::vector<train::NamedParameter> parameters() override;
  at::Tensor loss(std::int64_t step, std::int64_t micro_batch) override;
  nlohmann::ordered_json validate() override;
  std::int64_t samples_per_step() const override { return 1; }

  /// Mean over held-out points of sum|student - teacher| / sum|teacher|, with phi as it is.
  double error();
  /// The same with the linear branch switched off: softmax over the window alone.
  double window_only_error();

 private:
  struct Point {
    models::Heads heads;
    at::Tensor target;  ///< [B,A,N,D]
  };
  Point point(data::Split split, std::int64_t index) const;
  double mean_error(bool window_only);

  std::int64_t block_, slices_;
  models::SelfAttention student_;
  ops::RopeTables rope_;
  const data::ActivationCache& cache_;
  DistillConfig config_;
  std::uint64_t seed_;
};

}  // namespace rehyat::distill
