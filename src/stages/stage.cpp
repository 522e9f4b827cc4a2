#include "stages/stage.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"

namespace rehyat::stages {
namespace {

using json = nlohmann::ordered_json;

json read_marker(const std::filesystem::path& path) {
  JsonLimits limits;
  limits.bytes = 64 << 20;
  limits.what = "a stage marker";
  limits.hint = "remove the folder to redo the stage";
  json marker = read_json(path, limits);
  require(
      marker.is_object() && marker.contains("fingerprint") && marker["fingerprint"].is_string() &&
          marker.contains("summary"),
      [&] { return cat(path.string(), ": found no fingerprint and summary; remove the folder to redo the stage"); });
  return marker;
}

/// What other stages load, relative to the folder, sorted: the same on every run.
std::vector<std::string> result_files(const std::filesystem::path& folder) {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::recursive_directory_iterator(folder)) {
    const std::filesystem::path name = std::filesystem::relative(entry.path(), folder);
    const std::string first = name.begin()->string();
    const bool result =
        first == "model" || first == "manifest.json" || (name.string() == first && first.starts_with("phi-"));
    if (result && entry.is_regular_file()) names.push_back(name.string());
  }
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace

Stage::Stage(const std::filesystem::path& run_folder, std::string name, json identity)
    : name_(std::move(name)), identity_(std::move(identity)) {
  fingerprint_ = hash_text(name_ + identity_.dump()).substr(0, 16);
  folder_ = run_folder / (name_ + "-" + fingerprint_.substr(0, 8));
}

bool Stage::complete() const {
  const auto path = folder_ / "stage.json";
  if (!std::filesystem::exists(path)) return false;
  const std::string found = read_marker(path).at("fingerprint").get<std::string>();
  require(found == fingerprint_, [&] {
    return cat(path.string(), ": found fingerprint ", found, ", expected ", fingerprint_,
               "; remove the folder to redo the stage");
  });
  return true;
}

FolderLock Stage::open() const {
  FolderLock lock(folder_);
  remove_leftovers(folder_);
  write_file_atomic(folder_ / "identity.json", identity_.dump(2) + "\n");
  return lock;
}

void Stage::finish(const json& summary) const {
  json files = json::array();
  for (const std::string& name : result_files(folder_)) {
    files.push_back({{"file", name},
                     {"bytes", std::filesystem::file_size(folder_ / name)},
                     {"checksum", hash_file(folder_ / name)}});
  }
  const json marker = {{"stage", name_}, {"fingerprint", fingerprint_}, {"files", files}, {"summary", summary}};
  write_file_atomic(folder_ / "stage.json", marker.dump(2) + "\n");
}

json Stage::summary() const {
  return read_marker(folder_ / "stage.json").at("summary");
}

void Stage::require_complete(std::string_view command) const {
  require(complete(), [&] {
    return cat(folder_.string(), ": the stage '", name_, "' is not complete; run `rehyat ", command,
               "` with this config first");
  });
}

void Stage::require_intact(std::string_view command) const {
  require_complete(command);
  const auto path = folder_ / "stage.json";
  const json marker = read_marker(path);
  if (!marker.contains("files")) {
    log::warn(path.string(), ": names no checksums (an older version wrote it); the stage's files are not checked");
    return;
  }
  const auto redo = cat("remove ", folder_.string(), " and run `rehyat ", command, "` again");
  try {
    for (const json& entry : marker["files"]) {
      const auto file = folder_ / entry.at("file").get<std::string>();
      std::error_code error;
      const auto bytes = std::filesystem::file_size(file, error);
      const auto expected = entry.at("bytes").get<std::uint64_t>();
      if (error || bytes != expected)
        throw UserError({file.string(), error ? std::string("no file") : cat(bytes, " bytes"),
                         cat(expected, " bytes as ", path.string(), " says"), redo});
      if (hash_file(file) != entry.at("checksum").get<std::string>())
        throw UserError({file.string(), "another checksum than " + path.string() + " names", "the file as written",
                         "it was changed or the disk is failing: " + redo});
    }
  } catch (const json::exception&) {
    throw UserError({path.string(), "a list of files without names, sizes and checksums", "one", redo});
  }
}

}  // namespace rehyat::stages
