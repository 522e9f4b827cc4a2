#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "files/marked_folder.h"

namespace rehyat::stages {

/// A stage's folder as it lies in a run's folder.
struct StageOnDisk {
  std::string stage, fingerprint_start;  ///< of its name, `pretrain-1a2b3c4d`
  std::filesystem::path folder;
  Identity identity;
  bool complete = false;
  std::optional<std::int64_t> step;  ///< of its newest checkpoint
  std::vector<std::string> links;    ///< readable names in the run's folder that lead to it
};

/// The stages' folders in a run's folder, whatever config they were made by, sorted by name.
class RunListing {
 public:
  /// Empty where there is no such folder. What is no stage's folder, or says not what it was made from, is left out.
  explicit RunListing(const std::filesystem::path& run_folder);

  const std::vector<StageOnDisk>& all() const { return folders_; }
  std::vector<StageOnDisk> of_stage(std::string_view stage) const;
  /// The folder whose fingerprint this is; null where it is not there.
  const StageOnDisk* by_fingerprint(std::string_view fingerprint) const;

 private:
  std::vector<StageOnDisk> folders_;
};

/// The parts of a stage's folder name; nothing for any other name.
std::optional<std::pair<std::string, std::string>> parse_folder_name(const std::string& name);

}  // namespace rehyat::stages
