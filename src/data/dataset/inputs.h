#pragma once

#include <cstdint>

#include "data/config.h"
#include "data/sources/clip_list.h"
#include "models/encoders.h"

namespace rehyat::data {

/// Everything that a dataset is made of. The referenced objects outlive their user.
struct DatasetInputs {
  const DataConfig& config;
  const ClipList& clips;  ///< those that list_clips finds, the same on all ranks
  models::VideoCodec& codec;
  models::TextEncoder& text;
  std::uint64_t seed = 0;
};

}  // namespace rehyat::data
