#pragma once

#include <functional>
#include <vector>

#include "distill/block_points.h"
#include "distill/config.h"
#include "distill/point_source.h"
#include "train/task.h"

namespace rehyat::distill {

/// Distils phi_q and phi_k of one block: input = the teacher's own input to that attention, target = the teacher's
/// attention output before the output projection (paper, Eq. 19). Every other weight is frozen.
class BlockTask : public train::Task {
 public:
  /// The teacher of `student` is the same attention by softmax. A step's point depends on (seed, block, step) and the
  /// number of training points alone. Without keep_on_device or keep_on_host nothing is kept there. `poll` is called
  /// while a step waits for its point.
  BlockTask(const Student& student, const PointSource& source, const DistillConfig& config, std::uint64_t seed,
            std::function<void()> poll = {});

  std::vector<train::NamedParameter> parameters() override;
  at::Tensor loss(std::int64_t step, std::int64_t micro_batch) override;
  nlohmann::ordered_json validate() override;
  double seconds_of_waiting() const override { return points_.seconds_of_waiting(); }
  std::int64_t samples_per_step() const override { return 1; }

  /// Mean over held-out points of sum|student - teacher| / sum|teacher|, with phi as it is.
  double error();
  /// The same with the linear branch switched off: softmax over the window alone.
  double window_only_error();

 private:
  std::int64_t training_point(std::int64_t step) const;
  double mean_error(bool window_only);

  Student student_;
  const PointSource& source_;
  DistillConfig config_;
  std::uint64_t seed_;
  BlockPoints points_;
};

}  // namespace rehyat::distill
