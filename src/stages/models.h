#pragma once

#include <array>
#include <filesystem>
#include <functional>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "models/hybrid.h"
#include "models/model_registry.h"
#include "stages/config.h"
#include "stages/device.h"
#include "stages/encoders.h"
#include "stages/input_notes.h"
#include "stages/published_model.h"
#include "stages/stage_folder.h"

namespace rehyat::stages {

/// Finds the folder of a stage by its name.
using FolderOf = std::function<StageFolder(std::string_view)>;

/// The models of a run, from its teacher to the finetuned hybrid.
class RunModels {
 public:
  /// `published` is what model.weights names, or nothing.
  RunModels(const ExperimentConfig& config, const std::optional<PublishedModel>& published,
            const models::ModelRegistry& families, RunDevice& device, const RunEncoders& encoders, InputNotes& notes,
            const comm::Communicator& world, FolderOf folder_of);

  /// Of model.weights; empty without.
  models::ModelFiles files() const { return published_ ? published_->files : models::ModelFiles(); }
  /// The families of models that the program knows, and the family of this run.
  const models::ModelRegistry& families() const { return families_; }
  const models::ModelFamily& family();
  const models::Architecture& architecture();
  /// The settings of the teacher that `pretrain` makes; null with model.weights.
  const nlohmann::ordered_json& new_model();
  /// The blocks that the `hybrid` section converts, and their numbers.
  const models::BlockMap& blocks();
  std::vector<std::int64_t> converted();
  std::vector<std::int64_t> latent() const;  ///< T, H, W

  /// The stages that make the model; none where it is the teacher that model.weights names.
  std::vector<std::string> made_by(TrainedModel which) const;
  /// Names the model by everything that decides its weights.
  std::string fingerprint(TrainedModel which);
  /// The model on this rank's device; the stages that make it must be complete. Collective.
  models::VideoTransformer load(TrainedModel which);

 private:
  std::filesystem::path teacher_folder() const;

  const ExperimentConfig& config_;
  const std::optional<PublishedModel>& published_;
  const models::ModelRegistry& families_;
  RunDevice& device_;
  const RunEncoders& encoders_;
  InputNotes& notes_;
  const comm::Communicator& world_;
  FolderOf folder_of_;
  std::optional<models::Architecture> architecture_;
  nlohmann::ordered_json new_model_;
  std::optional<models::BlockMap> blocks_;
  std::string weights_fingerprint_;  ///< of model.weights
};

}  // namespace rehyat::stages
