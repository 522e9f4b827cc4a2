#pragma once

#include <optional>
#include <string>
#include <vector>

#include "diffusion/samplers.h"
#include "models/model_registry.h"
#include "stages/config.h"
#include "stages/input_notes.h"

namespace rehyat::stages {

/// What a run is made for: to work, or to count and say what work would need, for which no weight has to be there.
enum class Purpose { work, plan };

/// What the files of model.weights say without a weight being read.
struct PublishedModel {
  models::ModelFiles files;
  models::Architecture architecture;
  std::optional<diffusion::SamplerConfig> sampler;  ///< of its scheduler, where it has one

  // Of a plan alone, not noted:
  std::string assumed = {};               ///< name of the published model whose sizes were taken; empty: they were read
  std::string encoders = {};              ///< family of encoders to assume where no file of theirs is there; or empty
  std::vector<std::string> missing = {};  ///< what is neither there nor noted, for people

  void fields(config::Fields& f);
};

/// The model that the `model` section names; where its files are gone, what was noted of it; in a plan, where they are
/// not there yet, the published model of model.published or of the path's name. Nothing where `pretrain` makes the
/// teacher. Throws UserError, also where the files are not of the model that model.published names.
std::optional<PublishedModel> published_model(const ModelConfig& model, const models::ModelRegistry& families,
                                              InputNotes& notes, Purpose purpose);

/// The notes' name of the weights of model.weights, which are the files at `transformer`.
InputNotes::Input weights_input(const ModelConfig& model, const models::ModelFamily& family,
                                const std::filesystem::path& transformer);

}  // namespace rehyat::stages
