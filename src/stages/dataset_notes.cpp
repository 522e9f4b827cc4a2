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

}  // namespace rehyat::stages
