#include "pipeline/stage.h"

#include <utility>

#include "core/atomic_file.h"
#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"

namespace rehyat::pipeline {
namespace {

using json = nlohmann::ordered_json;

json read_marker(const std::filesystem::path& path) {
  try {
    json marker = json::parse(read_file(path, 64 << 20));
    require(marker.is_object() && marker.contains("fingerprint") && marker.contains("summary"), [&] {
      return cat(path.string(), ": found no fingerprint and summary; remove the folder to redo the stage");
    });
    return marker;
  } catch (const json::exception&) {
    throw UserError({path.string(), "text that is not JSON", "a stage marker", "remove the folder to redo the stage"});
  }
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

void Stage::open() const {
  make_folder(folder_);
  write_file_atomic(folder_ / "identity.json", identity_.dump(2) + "\n");
}

void Stage::finish(const json& summary) const {
  const json marker = {{"stage", name_}, {"fingerprint", fingerprint_}, {"summary", summary}};
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

}  // namespace rehyat::pipeline
