#pragma once

#include <filesystem>
#include <functional>

#include "models/encoder_family.h"
#include "models/model_files.h"
#include "stages/config.h"

/// The video codec and the text encoder of a run.
namespace rehyat::stages {

/// The encoders, and whether they were made from files that the config names.
struct RunEncoders : models::Encoders {
  bool published = false;

  /// Frees the weights of both until they are used again.
  void release() const {
    codec->release();
    text->release();
  }
};

/// Those that model.encoders asks for. The checksums of their files are remembered in `folder`, the run's. Throws
/// UserError where they are asked for and their files are missing.
RunEncoders make_encoders(const ModelConfig& model, const models::ModelFiles& files,
                          const models::Architecture& architecture, const models::EncoderRegistry& registry,
                          const std::function<at::Device()>& device, const std::filesystem::path& folder);

}  // namespace rehyat::stages
