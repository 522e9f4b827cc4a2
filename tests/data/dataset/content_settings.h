#pragma once

#include "data/config.h"

namespace rehyat::data {

/// The settings that decide a dataset's content, as src/stages/setting_sides.cpp has them.
inline nlohmann::ordered_json content_of(const DataConfig& config) {
  nlohmann::ordered_json settings = config::to_json(config);
  for (const char* key :
       {"videos", "captions", "allow_missing_captions", "max_bad_share", "clips_per_shard", "decode_threads"})
    settings.erase(key);
  return settings;
}

}  // namespace rehyat::data
