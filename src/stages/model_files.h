#pragma once

#include <filesystem>
#include <string>

/// Where the parts of a published model lie.
namespace rehyat::stages {

struct ModelFiles {
  std::filesystem::path transformer;  ///< for models::load_model
  std::filesystem::path vae;          ///< for models::load_vae; empty where there is none
  std::filesystem::path text;         ///< for models::find_umt5; empty where there is none
  std::filesystem::path scheduler;    ///< a scheduler_config.json; empty where there is none
};

/// The parts under `weights`: a pipeline's folder of diffusers (model_index.json), a folder of the original repository
/// (Wan2.1_VAE.pth and google/umt5-xxl beside the transformer), or a transformer alone, folder or file. Throws
/// UserError on a pipeline of another kind.
ModelFiles find_model(const std::filesystem::path& weights);

}  // namespace rehyat::stages
