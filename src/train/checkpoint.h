#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "files/marked_folder.h"
#include "tensor/io.h"

namespace rehyat::train {

/// The parts of a checkpoint: files of tensors by name, and a JSON state.
struct Checkpoint {
  std::int64_t step = 0;
  nlohmann::ordered_json state;
  std::vector<std::pair<std::string, NamedTensors>> parts;  ///< "weights", "optimizer", "ema"
  std::filesystem::path folder = {};                        ///< that it was read from

  const NamedTensors& part(const std::string& name) const;
};

/// Checkpoints of one training, in `folder`/step-00000123. A checkpoint is whole or absent: written under a temporary
/// name, its marker state.json with the checksum of every other file last, then renamed.
class CheckpointFolder {
 public:
  CheckpointFolder(std::filesystem::path folder, std::string fingerprint);

  void save(const Checkpoint& checkpoint, std::int64_t most) const;
  /// The newest whole checkpoint; damaged ones are reported in the log and passed over. Throws UserError when it
  /// belongs to another training.
  std::optional<Checkpoint> newest() const;

 private:
  std::vector<std::int64_t> steps() const;  ///< ascending
  std::filesystem::path path_of(std::int64_t step) const;
  MarkedFolder marked(const std::filesystem::path& folder) const;
  Checkpoint read(std::int64_t step) const;

  std::filesystem::path folder_;
  std::string fingerprint_;
};

}  // namespace rehyat::train
