#pragma once

#include <string>

#include "stages/run.h"
#include "stages/stage.h"

namespace rehyat::stages {

/// Which folder of this stage in the run's folder is most like the one that the run asks for, and how it differs:
/// "of 2 others the nearest, runs/a/pretrain-1a2b3c4d (stopped after step 258), was made from something else
/// (pretrain.lr: found 0.1, expected 0.2)"; "" where there is no other. Call on rank 0.
std::string nearest_other(Run& run, const Stage& stage);

}  // namespace rehyat::stages
