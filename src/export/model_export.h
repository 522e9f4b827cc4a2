#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "models/model_registry.h"

/// Models as files for other programs, in the formats that their families know.
namespace rehyat::exporter {

struct Options {
  at::ScalarType type = at::kFloat;               ///< of the weights; feature maps are always float32
  std::int64_t max_shard_bytes = 10'000'000'000;  ///< more is split behind an index where the format can be split
};

std::vector<std::string> format_names(const models::ModelFamily& family);
/// Where a format's folder or file goes below `folder`. Throws UserError, which names export.formats, where the family
/// has no such format.
std::filesystem::path place_of(const models::ModelFamily& family, const std::string& format,
                               const std::filesystem::path& folder);

/// Writes the model, reads it back and compares weights, feature maps and settings. Throws UserError.
void write_checked(const models::VideoTransformer& model, const models::ModelRegistry& families,
                   const std::string& format, const std::filesystem::path& path, const Options& options);

}  // namespace rehyat::exporter
