#include "pipeline/prepared.h"

#include "core/atomic_file.h"
#include "core/strings.h"
#include "pipeline/stage.h"

namespace rehyat::pipeline {
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
  data::Identity identity = data::read_manifest(folder)["identity"];
  // The folder's name is the identity's fingerprint: another one was moved here.
  if (Stage(run_folder, "prepare", identity).folder() != folder) return {};
  return identity;
}

}  // namespace rehyat::pipeline
