#include "train/config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::train {

void TrainConfig::fields(config::Fields& f) {
  f.add("iterations", iterations, "optimizer steps").at_least(0);
  f.add("lr", lr, "peak learning rate of AdamW").above(0);
  f.choice("schedule", schedule,
           {{"constant", Schedule::constant}, {"cosine", Schedule::cosine}, {"linear", Schedule::linear}},
           "learning rate after the warm-up");
  f.add("warmup", warmup, "steps of linear growth to the peak").at_least(0);
  f.add("final_lr_share", final_lr_share, "share of lr left at the end of cosine and linear; null: 0").between(0, 1);
  f.add("beta1", beta1, "AdamW").between(0, 0.999999);
  f.add("beta2", beta2, "AdamW").between(0, 0.99999999);
  f.add("eps", eps, "AdamW").above(0);
  f.add("weight_decay", weight_decay, "AdamW, on every trained parameter").at_least(0);
  f.add("clip_norm", clip_norm, "largest norm of the gradient; 0 = off").at_least(0);
  f.add("ema_decay", ema_decay, "decay of the averaged weights, which are then the result, below 1; null = off")
      .between(0, 0.9999999);
  f.add("checkpoint_every", checkpoint_every, "steps between checkpoints; 0 = only at the end").at_least(0);
  f.add("keep_checkpoints", keep_checkpoints, "how many of the newest are kept").at_least(1);
  f.add("validate_every", validate_every, "steps between validations; 0 = only at the end").at_least(0);
  f.add("log_every", log_every,
        "steps between log lines; null: the first three, then after growing pauses of up to 10 minutes, and the last")
      .at_least(1);
}

void TrainConfig::validate() const {
  require(!final_lr_share || schedule != Schedule::constant, [&] {
    return cat("final_lr_share: found ", *final_lr_share,
               " with the schedule constant, which does not fall, expected cosine or linear; remove the key or change "
               "schedule");
  });
}

double TrainConfig::lr_at(std::int64_t step) const {
  if (step < warmup) return lr * static_cast<double>(step + 1) / static_cast<double>(warmup);
  if (schedule == Schedule::constant || iterations <= warmup) return lr;
  const double progress =
      std::clamp(static_cast<double>(step - warmup) / static_cast<double>(iterations - warmup), 0.0, 1.0);
  const double left = schedule == Schedule::linear ? 1 - progress : 0.5 * (1 + std::cos(std::numbers::pi * progress));
  const double end = final_lr_share.value_or(0);
  return lr * (end + (1 - end) * left);
}

}  // namespace rehyat::train
