#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>

namespace rehyat::inspect {

/// What a file or folder of ours holds, checked on the way (checksums, headers, record CRCs): safetensors, HDF5, JSON,
/// resolved.yaml, metrics.jsonl, event files, videos, logs, and the folders of models, checkpoints, stages and runs.
/// Names and texts are printable. Throws UserError with the path on what is damaged or not ours.
nlohmann::ordered_json inspect_path(const std::filesystem::path& path);

/// Records of a TensorBoard event file, their CRCs verified: how many, the steps, and each tag with its last value.
nlohmann::ordered_json inspect_events(const std::filesystem::path& path);

}  // namespace rehyat::inspect
