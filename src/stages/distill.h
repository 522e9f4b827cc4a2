#pragma once

#include <vector>

#include "config/config.h"
#include "distill/distill.h"

namespace rehyat::stages {

/// The held-out errors of distillation, means over the blocks and of each.
struct DistillResult {
  double window_only = 0, untrained = 0, distilled = 0;
  std::vector<distill::BlockResult> blocks;

  void fields(config::Fields& f);
};

}  // namespace rehyat::stages
