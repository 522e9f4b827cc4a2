#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "files/folder_lock.h"

namespace rehyat::stages {

/// One stage of a run: a folder `<run>/<name>-<fingerprint>` that stages with the same inputs share.
///
/// The identity is a JSON object of everything that decides the result (settings, seeds, the fingerprints of earlier
/// stages, format version); its hash is the fingerprint. A stage counts as complete once its `stage.json`, written
/// last, says so.
class Stage {
 public:
  Stage(const std::filesystem::path& run_folder, std::string name, nlohmann::ordered_json identity);

  const std::string& name() const { return name_; }
  const std::string& fingerprint() const { return fingerprint_; }
  const nlohmann::ordered_json& identity() const { return identity_; }
  const std::filesystem::path& folder() const { return folder_; }

  bool complete() const;
  /// Makes the folder, claims it for as long as the lock lives, removes what a killed run left half written and saves
  /// the identity beside what the stage will write. Call on rank 0. Throws UserError while another run is at work
  /// there.
  [[nodiscard]] FolderLock open() const;
  /// Marks the stage complete with a summary (seconds, losses, file names) and size and checksum of every file that
  /// other stages load: model/, phi-*, manifest.json. Call on rank 0, after everything else.
  void finish(const nlohmann::ordered_json& summary) const;
  /// What `finish` stored; throws UserError when the stage is not complete or its file is damaged.
  nlohmann::ordered_json summary() const;
  /// Throws UserError that names the command to run first unless the stage is complete.
  void require_complete(std::string_view command) const;
  /// Also throws unless its files are those that `finish` saw, byte for byte.
  void require_intact(std::string_view command) const;

 private:
  std::string name_, fingerprint_;
  nlohmann::ordered_json identity_;
  std::filesystem::path folder_;
};

}  // namespace rehyat::stages
