#pragma once

#include <optional>

#include "diffusion/samplers.h"
#include "models/model_registry.h"
#include "stages/input_notes.h"

namespace rehyat::stages {

/// What the files of model.weights say without a weight being read.
struct PublishedModel {
  models::ModelFiles files;
  models::Architecture architecture;
  std::optional<diffusion::SamplerConfig> sampler;  ///< of its scheduler, where it has one

  void fields(config::Fields& f);
};

/// The model at `weights`; where that is gone, what was noted of it. Nothing for an empty path. Throws UserError.
std::optional<PublishedModel> published_model(const std::filesystem::path& weights,
                                              const models::ModelRegistry& families, InputNotes& notes);

}  // namespace rehyat::stages
