#pragma once

#include "analysis/cost.h"
#include "models/wan/config.h"
#include "models/wan/vae_config.h"

namespace rehyat::analysis {

inline const models::Architecture kWan = models::WanConfig().architecture();  // 1.3B
inline const VideoSize kVideo{81, 480, 832, models::VaeConfig().geometry()};

}  // namespace rehyat::analysis
