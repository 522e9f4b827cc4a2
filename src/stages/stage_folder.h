#pragma once

#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "files/json.h"
#include "files/marked_folder.h"

namespace rehyat::stages {

/// The folder of one stage of a run, `<run>/<name>-<fingerprint>`, which stages with the same inputs share.
///
/// The identity is a JSON object of everything that decides the result (settings, seeds, the fingerprints of earlier
/// stages, format version); its hash is the fingerprint. A stage counts as complete once its `stage.json`, written
/// last, says so.
class StageFolder {
 public:
  StageFolder(const std::filesystem::path& run_folder, std::string name, Identity identity);

  const std::string& name() const { return name_; }
  const std::string& fingerprint() const { return folder_.fingerprint(); }
  const Identity& identity() const { return folder_.identity(); }
  const std::filesystem::path& folder() const { return folder_.path(); }

  bool complete() const { return folder_.complete(); }
  /// Makes and claims the folder, see MarkedFolder::open. Call on rank 0.
  [[nodiscard]] FolderLock open() const { return folder_.open(); }
  /// Takes the mark away: the stage is done once more.
  void unmark() const { folder_.unmark(); }
  /// Marks the stage complete with its result (seconds, losses, file names) and size and checksum of its outputs: the
  /// files and folders that other stages load. Call on rank 0, after everything else.
  void finish(const nlohmann::ordered_json& result, const std::vector<std::filesystem::path>& outputs = {}) const {
    folder_.finish(result, outputs);
  }
  /// What `finish` stored; throws UserError when the stage is not complete or its file is damaged.
  nlohmann::ordered_json result() const { return folder_.content(); }
  /// What `finish` stored as the time that the stage took; 0 where it did not.
  double seconds() const { return value_or(result(), "seconds", 0.0); }
  /// Throws UserError that names the command to run first unless the stage is complete.
  void require_complete() const { folder_.require_complete(); }
  /// Also throws unless its outputs are those that `finish` saw, byte for byte.
  void require_intact() const { folder_.require_intact(); }

 private:
  std::string name_;
  MarkedFolder folder_;
};

}  // namespace rehyat::stages
