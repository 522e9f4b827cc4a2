#include "data/dataset/manifest.h"

namespace rehyat::data {

std::map<std::string, std::string> identity_names() {
  return {{"settings", "data"},
          {"files", "videos (their names and contents)"},
          {"captions", "captions (and groups)"},
          {"codec", "video codec"},
          {"text_encoder", "text encoder"},
          {"seed", "run.seed"}};
}

MarkedFolder dataset_folder(const std::filesystem::path& folder, const Identity& identity) {
  return MarkedFolder(folder, identity,
                      {"manifest.json", "the dataset", "run `rehyat prepare` with this config first",
                       "remove the folder and run `rehyat prepare` again", identity_names()});
}

}  // namespace rehyat::data
