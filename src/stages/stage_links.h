#pragma once

#include <filesystem>
#include <string>

namespace rehyat::stages {

/// Readable names for the stages' folders of a run: `<run>/finetune` is a link to `finetune-1a2b3c4d`, the folder that
/// the last command of that name made or found complete. Links are relative, so that a run can be moved.
class StageLinks {
 public:
  explicit StageLinks(std::filesystem::path run_folder);

  /// Points a name to a stage's folder, from one moment to the next; a link that leads there already is left alone.
  /// Warns and does nothing where the name is a file, a folder or a link of the user's own. Says once where the file
  /// system has no links. Throws UserError where it has them and the link cannot be made.
  void point(const std::string& name, const std::filesystem::path& folder);

 private:
  std::filesystem::path run_folder_;
  bool said_ = false;  ///< that there are no links here
};

}  // namespace rehyat::stages
