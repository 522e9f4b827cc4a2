#pragma once

#include <cstdint>
#include <optional>

#include "config/config.h"

namespace rehyat::train {

enum class Schedule { constant, cosine, linear };
/// What of the optimizer lives in host memory: nothing; or its moments and the float32 numbers of the weights.
enum class Offload { none, optimizer };

/// What every training shares.
struct TrainConfig {
  std::int64_t iterations = 1000;
  double lr = 1e-5;
  Schedule schedule = Schedule::constant;
  std::int64_t warmup = 10;              ///< steps of linear growth from lr/warmup
  std::optional<double> final_lr_share;  ///< of lr at the end of cosine and linear; unset: 0
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8, weight_decay = 0.01;
  double clip_norm = 1.0;  ///< 0 = off
  std::optional<double> ema_decay;
  Offload offload = Offload::none;  ///< decides time and memory, and no number
  std::int64_t checkpoint_every = 100, keep_checkpoints = 2;
  std::int64_t validate_every = 0;        ///< 0 = only at the end
  std::optional<std::int64_t> log_every;  ///< unset: at growing pauses

  /// Adds the keys to the section of the stage that trains.
  void fields(config::Fields& f);
  /// Throws UserError on a key that would have no effect.
  void validate() const;
  /// Rate of step 0, 1, ...
  double lr_at(std::int64_t step) const;
};

}  // namespace rehyat::train
