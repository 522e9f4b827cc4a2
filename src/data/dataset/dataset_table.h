#pragma once

#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "data/config.h"
#include "data/dataset/prepare_result.h"
#include "data/sources/clip_list.h"

namespace rehyat::data {

/// What became of each clip, as the shards say it.
struct ClipOutcomes {
  struct Sample {
    std::size_t shard = 0, clip = 0, bucket = 0;
    std::int64_t index = 0;  ///< in the shard
  };
  std::vector<Sample> samples;                                          ///< windows, in the order of the clips
  std::vector<std::size_t> usable;                                      ///< clips with at least one window
  nlohmann::ordered_json shards = nlohmann::ordered_json::array();      ///< entries of the manifest
  nlohmann::ordered_json dropped = nlohmann::ordered_json::array();     ///< {"file", "why", "reason"}
  nlohmann::ordered_json quarantine = nlohmann::ordered_json::array();  ///< {"file", "reason"}
};

/// Counts the outcomes; `validation` holds the numbers of the clips that are held out.
DatasetTable dataset_table(const DataConfig& config, const ClipList& clips, const ClipOutcomes& outcomes,
                           const std::set<std::size_t>& validation);

/// The table as aligned lines for the log.
std::vector<std::string> table_lines(const DatasetTable& table);

}  // namespace rehyat::data
