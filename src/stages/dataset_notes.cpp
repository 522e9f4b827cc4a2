#include "stages/dataset_notes.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "stages/stage_folder.h"

namespace rehyat::stages {
namespace {

std::filesystem::path note(const std::filesystem::path& run_folder, const std::string& section) {
  return run_folder / cat("data-", section, ".json");
}

}  // namespace

void remember_dataset(const std::filesystem::path& run_folder, const std::string& section,
                      const data::Identity& identity) {
  keep_file(note(run_folder, section), identity.dump(2) + "\n");
}

std::optional<data::Identity> recall_dataset(const std::filesystem::path& run_folder, const std::string& section) {
  const auto path = note(run_folder, section);
  if (!std::filesystem::exists(path)) return {};
  JsonLimits limits;
  limits.bytes = 16 << 20;
  limits.what = "a note of what a dataset was made from";
  limits.hint = "remove the file and run `rehyat prepare` again";
  return read_json_object(path, limits);
}

std::string nearest_dataset(const std::filesystem::path& run_folder, const data::Identity& identity,
                            const data::ClipMarks& clips) {
  const std::filesystem::path own = StageFolder(run_folder, "prepare", identity).folder();
  std::vector<std::filesystem::path> folders;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(run_folder, error)) {
    const bool dataset = entry.path().filename().string().starts_with("prepare-");
    if (dataset && entry.path().filename() != own.filename()) folders.push_back(entry.path());
  }
  std::ranges::sort(folders);
  std::filesystem::path nearest;
  std::vector<std::string> fewest;
  for (const std::filesystem::path& folder : folders) {
    if (!std::filesystem::exists(folder / "manifest.json")) continue;
    try {
      auto differences = identity_differences(saved_identity(folder), identity, data::identity_names());
      if (!nearest.empty() && differences.size() >= fewest.size()) continue;
      fewest = std::move(differences);
      nearest = folder;
    } catch (const UserError&) {
      continue;  // only a hint: a damaged dataset explains nothing
    }
  }
  if (nearest.empty()) return "";
  const std::string changes = clips.empty() ? "" : data::clip_changes(nearest / "clips.json", clips);
  if (!changes.empty()) {
    // They say more than the checksums over all clips.
    std::erase_if(fewest, [](const std::string& difference) {
      return difference.starts_with("videos (") || difference.starts_with("captions (");
    });
    fewest.push_back(changes);
  }
  return cat(nearest.string(), " was made from something else (", join(fewest, "; "), ")");
}

}  // namespace rehyat::stages
