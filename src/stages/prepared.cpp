#include "stages/prepared.h"

#include <algorithm>
#include <vector>

#include "core/error.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "stages/stage.h"

namespace rehyat::stages {
namespace {

std::filesystem::path note(const std::filesystem::path& run_folder, const std::string& section) {
  return run_folder / cat("data-", section, ".txt");
}

}  // namespace

void remember_dataset(const std::filesystem::path& run_folder, const std::string& section,
                      const std::filesystem::path& dataset) {
  write_file_atomic(note(run_folder, section), dataset.filename().string() + "\n");
}

std::optional<data::Identity> recall_dataset(const std::filesystem::path& run_folder, const std::string& section) {
  const auto path = note(run_folder, section);
  if (!std::filesystem::exists(path)) return {};
  const std::filesystem::path folder = run_folder / trim(read_file(path, 1 << 10));
  if (!std::filesystem::exists(folder / "manifest.json")) return {};
  data::Identity identity = saved_identity(folder);
  // The folder's name is the identity's fingerprint: another one was moved here.
  if (Stage(run_folder, "prepare", identity).folder() != folder) return {};
  return identity;
}

std::string nearest_dataset(const std::filesystem::path& run_folder, const data::Identity& identity,
                            const data::ClipMarks& clips) {
  const std::filesystem::path own = Stage(run_folder, "prepare", identity).folder();
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
