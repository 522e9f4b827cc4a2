#pragma once

#include <map>
#include <vector>

#include "distill/config.h"
#include "distill/point_source.h"
#include "models/attention/self_attention.h"
#include "train/task.h"

namespace rehyat::distill {

/// The attention that is distilled: the teacher's projections and new feature maps.
struct Student {
  std::int64_t block = 0;  ///< its number in the teacher
  models::SelfAttention attention{nullptr};
  ops::RopeTables rope;     ///< of the video's tokens
  std::int64_t slices = 0;  ///< of tokens: a model with a temporal patch has fewer than the latent
};

/// Distils phi_q and phi_k of one block: input = the teacher's own input to that attention, target = the teacher's
/// attention output before the output projection (paper, Eq. 19). Every other weight is frozen.
class BlockTask : public train::Task {
 public:
  /// The teacher of `student` is the same attention by softmax. A step's point depends on (seed, block, step) and the
  /// number of training points alone.
  BlockTask(Student student, const PointSource& source, const DistillConfig& config, std::uint64_t seed);

  std::vector<train::NamedParameter> parameters() override;
  at::Tensor loss(std::int64_t step, std::int64_t micro_batch) override;
  nlohmann::ordered_json validate() override;
  double seconds_of_waiting() const override { return seconds_of_waiting_; }
  std::int64_t samples_per_step() const override { return 1; }

  /// Mean over held-out points of sum|student - teacher| / sum|teacher|, with phi as it is.
  double error();
  /// The same with the linear branch switched off: softmax over the window alone.
  double window_only_error();

 private:
  /// What stays the same at each visit of a point.
  struct Constants {
    at::Tensor target;  ///< [B,N,dim]
    ops::SoftmaxBranch softmax;
  };
  struct Point {
    models::Heads heads;
    Constants constants;
  };
  Point point(data::Split split, std::int64_t index);
  Constants constants(data::Split split, std::int64_t index, const models::Heads& heads) const;
  /// What the student makes of a point, [B,N,dim].
  at::Tensor answer(const Point& point);
  double mean_error(bool window_only);

  Student student_;
  const PointSource& source_;
  DistillConfig config_;
  std::uint64_t seed_;
  at::ScalarType compute_;
  std::map<std::int64_t, Constants> constants_;  ///< of training points, up to config_.keep_softmax bytes
  std::int64_t constants_bytes_ = 0;
  double seconds_of_waiting_ = 0;
};

}  // namespace rehyat::distill
