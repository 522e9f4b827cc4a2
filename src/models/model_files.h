#pragma once

#include <filesystem>
#include <string>

namespace rehyat::models {

/// Where the parts of a published model lie; empty where there is none.
struct ModelFiles {
  std::filesystem::path transformer;  ///< for ModelRegistry::load
  std::filesystem::path vae, text;    ///< of the encoders
  std::filesystem::path scheduler;    ///< a scheduler_config.json
  /// Why the VAE or text encoder cannot be told among several, in a sentence for whoever needs it; empty where it can.
  std::string vae_doubt = {}, text_doubt = {};
};

}  // namespace rehyat::models
