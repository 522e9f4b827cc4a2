#pragma once

#include "analysis/cost.h"
#include "models/wan/config.h"

namespace rehyat::analysis {

inline const models::Architecture kWan = models::WanConfig().architecture();  // 1.3B
inline const VideoSize kVideo;                                                // 81 frames at 480 x 832

}  // namespace rehyat::analysis
