#pragma once

#include <filesystem>

namespace rehyat::models {

/// Where the parts of a published model lie; empty where there is none.
struct ModelFiles {
  std::filesystem::path transformer;  ///< for ModelRegistry::load
  std::filesystem::path vae, text;    ///< of the encoders
  std::filesystem::path scheduler;    ///< a scheduler_config.json
};

}  // namespace rehyat::models
