#pragma once

#include <map>
#include <vector>

#include "distill/config.h"
#include "distill/point_source.h"
#include "models/attention/self_attention.h"
#include "train/task.h"

namespace rehyat::distill {

/// Distils phi_q and phi_k of one block: input = the teacher's own input to that attention, target = the teacher's
/// attention output before the output projection (paper, Eq. 19). Every other weight is frozen.
class BlockTask : public train::Task {
 public:
  /// `student` holds the teacher's projections and new feature maps; its teacher is the same with softmax attention.
  /// A step's point depends on (seed, block, step) and the number of training points alone.
  BlockTask(std::int64_t block, models::SelfAttention student, ops::RopeTables rope, const PointSource& source,
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
  /// What stays the same at each visit of a point.
  struct Constants {
    at::Tensor target;  ///< [B,A,N,D]
    ops::SoftmaxBranch softmax;
  };
  struct Point {
    models::Heads heads;
    Constants constants;
  };
  Point point(data::Split split, std::int64_t index);
  Constants constants(data::Split split, std::int64_t index, const models::Heads& heads) const;
  at::Tensor student(const Point& point);
  double mean_error(bool window_only);

  std::int64_t block_, slices_;
  models::SelfAttention student_;
  ops::RopeTables rope_;
  const PointSource& source_;
  DistillConfig config_;
  std::uint64_t seed_;
  at::ScalarType compute_;
  std::map<std::int64_t, Constants> constants_;  ///< of training points, up to config_.keep_softmax bytes
  std::int64_t constants_bytes_ = 0;
};

}  // namespace rehyat::distill
