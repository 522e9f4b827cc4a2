#pragma once

#include <filesystem>
#include <functional>
#include <memory>

#include "models/architecture.h"
#include "models/encoders.h"
#include "stages/config.h"
#include "stages/model_files.h"

/// The video codec and the text encoder of a run.
namespace rehyat::stages {

/// Latents and embeddings come and go on the CPU, whatever the encoder runs on. What is large is loaded when it is
/// first used; the fingerprint needs only the files, whose checksums are remembered in `folder`, the run's.
struct RunEncoders {
  std::unique_ptr<models::VideoCodec> codec;
  std::unique_ptr<models::TextEncoder> text;
  bool wan = false;              ///< the published ones rather than the embedded ones
  std::function<void()> forget;  ///< frees the weights until the encoders are used again
};

/// Those that model.encoders asks for. Throws UserError where they are asked for and their files are missing.
RunEncoders make_encoders(const ModelConfig& model, const ModelFiles& files, const models::Architecture& architecture,
                          const std::function<at::Device()>& device, const std::filesystem::path& folder);

}  // namespace rehyat::stages
