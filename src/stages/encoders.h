#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "models/encoder_family.h"
#include "models/model_files.h"
#include "stages/config.h"
#include "stages/input_notes.h"

/// The video codec and the text encoder of a run.
namespace rehyat::stages {

/// The encoders, and whether they were made from files that the config names.
struct RunEncoders : models::Encoders {
  bool published = false;
  std::vector<std::string> missing = {};  ///< of a plan: files that are not there yet, for people

  /// Frees the weights of both until they are used again.
  void release() const {
    codec->release();
    text->release();
  }
};

/// Those that model.encoders asks for. Where their files are gone, the notes say what they were: counting and finding
/// what was made with them works, encoding and decoding throws UserError. The checksums of the files are remembered in
/// the run's folder. Throws UserError where the files are asked for, missing and not noted; with `assume`, for a plan,
/// they are stood in for, those of that family where the config leaves it open and no file is named. An empty `assume`
/// is no name.
RunEncoders make_encoders(const ModelConfig& model, const models::ModelFiles& files,
                          const models::Architecture& architecture, const models::EncoderRegistry& registry,
                          const std::function<at::Device()>& device, InputNotes& notes,
                          const std::optional<std::string>& assume = std::nullopt);

}  // namespace rehyat::stages
