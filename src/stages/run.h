#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "comm/communicator.h"
#include "stages/config.h"
#include "stages/dataset.h"
#include "stages/device.h"
#include "stages/encoders.h"
#include "stages/input_notes.h"
#include "stages/models.h"
#include "stages/prompts.h"
#include "stages/published_model.h"
#include "stages/registry.h"
#include "stages/stage_folder.h"
#include "stages/stage_links.h"

namespace rehyat::stages {

/// One experiment on its ranks: the config and the owners of what the stages share. The stages' folders are found by
/// what decides them, so that what is complete is not done again and what another experiment of the same run folder
/// made is found.
class Run {
 public:
  /// Resolves the config: what defaults to something else is filled in. The ranks and the registries must outlive the
  /// run. Throws UserError on a config that does not fit the model.
  Run(ExperimentConfig config, const comm::Communicator& world, const Registry& registry,
      const models::ModelRegistry& families, Purpose purpose = Purpose::work);
  Run(const Run&) = delete;
  Run& operator=(const Run&) = delete;

  const ExperimentConfig& config() const { return config_; }
  const comm::Communicator& world() const { return world_; }
  const Registry& registry() const { return registry_; }
  RunDevice& device() { return device_; }
  RunModels& models() { return models_; }
  RunEncoders& encoders() { return encoders_; }
  RunPrompts& prompts() { return prompts_; }
  RunDataset& dataset() { return dataset_; }
  StageLinks& links() { return links_; }
  /// What the files that the config names said when they were last there.
  InputNotes& notes() { return notes_; }

  /// The published model whose sizes a plan took for those of files that are not there yet; empty: none.
  std::string assumed() const { return published_ ? published_->assumed : std::string(); }
  /// Files that are not there yet, without which a plan knows no stage's folder, for people.
  std::vector<std::string> missing() const;

  /// A stage's folder, whether it is there or not.
  StageFolder folder(std::string_view stage);
  /// Finds the folders of a stage and of all that it reads on rank 0, for all ranks: file systems of several machines
  /// need not show the same at the same time. Collective.
  void find(const Stage& stage);
  /// The same experiment with no block converted: the teacher trained on, with which the hybrid is compared.
  std::unique_ptr<Run> control() const;

 private:
  Purpose purpose_;
  InputNotes notes_;
  std::optional<PublishedModel> published_;
  ExperimentConfig config_;
  const comm::Communicator& world_;
  const Registry& registry_;
  RunDevice device_;
  RunModels models_;
  RunEncoders encoders_;
  RunPrompts prompts_;
  RunDataset dataset_;
  StageLinks links_;
  std::map<std::string, StageFolder, std::less<>> folders_;
};

/// The readable name of a stage's folder, by the model that it is of: the finetuned hybrid has the plain name, the
/// control `NAME-control`, any other model `NAME-teacher` and the like.
std::string link_to(const std::string& stage, TrainedModel of, Run& run);

/// The stages that `stage` reads, and what those read, each once and after what it reads itself; the stage comes last.
std::vector<const Stage*> with_what_it_reads(Run& run, const Stage& stage);

}  // namespace rehyat::stages
