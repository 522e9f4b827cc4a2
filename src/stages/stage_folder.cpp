#include "stages/stage_folder.h"

#include <utility>

#include "core/hash.h"
#include "core/strings.h"

namespace rehyat::stages {
namespace {

constexpr const char* kMarker = "stage.json";

MarkedFolder marked_folder(const std::filesystem::path& run_folder, const std::string& name, Identity identity) {
  const std::string fingerprint = hash_text(name + identity.dump()).substr(0, 16);
  const std::filesystem::path folder = run_folder / (name + "-" + fingerprint.substr(0, 8));
  MarkedFolder::Words words;
  words.marker = kMarker;
  words.what = cat("the stage '", name, "'");
  words.first = cat("run `rehyat ", name, "` with this config first");
  words.again = cat("remove ", folder.string(), " and run `rehyat ", name, "` again");
  return MarkedFolder(folder, std::move(identity), std::move(words), fingerprint);
}

}  // namespace

StageFolder::StageFolder(const std::filesystem::path& run_folder, std::string name, Identity identity)
    : name_(std::move(name)), folder_(marked_folder(run_folder, name_, std::move(identity))) {}

}  // namespace rehyat::stages
