#include "stages/stage.h"

#include <utility>

#include "core/hash.h"
#include "core/strings.h"

namespace rehyat::stages {
namespace {

MarkedFolder folder_of(const std::filesystem::path& run_folder, const std::string& name, Identity identity) {
  const std::string fingerprint = hash_text(name + identity.dump()).substr(0, 16);
  const std::filesystem::path folder = run_folder / (name + "-" + fingerprint.substr(0, 8));
  MarkedFolder::Words words;
  words.marker = "stage.json";
  words.what = cat("the stage '", name, "'");
  words.first = cat("run `rehyat ", name, "` with this config first");
  words.again = cat("remove ", folder.string(), " and run `rehyat ", name, "` again");
  return MarkedFolder(folder, std::move(identity), std::move(words), fingerprint);
}

}  // namespace

Stage::Stage(const std::filesystem::path& run_folder, std::string name, Identity identity)
    : name_(std::move(name)), folder_(folder_of(run_folder, name_, std::move(identity))) {}

}  // namespace rehyat::stages
