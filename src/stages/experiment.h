#pragma once

#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "comm/communicator.h"
#include "data/dataset/identity.h"
#include "data/dataset/latent_dataset.h"
#include "distill/point_source.h"
#include "distill/trajectories.h"
#include "models/encoders.h"
#include "models/model_registry.h"
#include "sampling/generate.h"
#include "stages/config.h"
#include "stages/encoders.h"
#include "stages/stage.h"

namespace rehyat::stages {

/// One experiment: its stages, in order, each in a folder that its inputs name, so that what is complete is not done
/// again and what another experiment of the same run folder made is found. All functions are collective and return the
/// stage's summary.
class Experiment {
 public:
  Experiment(ExperimentConfig config, const comm::Communicator& world, const models::ModelRegistry& families);
  Experiment(Experiment&&) noexcept;
  ~Experiment();

  nlohmann::ordered_json prepare();
  nlohmann::ordered_json pretrain();
  nlohmann::ordered_json cache();
  nlohmann::ordered_json distill();
  nlohmann::ordered_json finetune();

  /// Lists the clips for prepare_stage() on one rank and reads them on all, a share each. Collective.
  void read_clips();
  /// A stage of this experiment. One rank looks for its dataset, for all, and reads the clips where none is known to be
  /// prepared. Collective.
  Stage find(Stage (Experiment::*stage)());
  /// What `prepare` makes of the videos and captions as they are now; reads them.
  Stage prepare_stage();
  /// What was last prepared of this config's `data` section, as its manifest says, so that the videos need not be there
  /// any more; else prepare_stage().
  Stage dataset_stage();
  Stage pretrain_stage();
  Stage cache_stage();
  Stage distill_stage();
  Stage finetune_stage();
  /// Whether distillation reads a cache, so that the stage `cache` has to come first.
  bool needs_cache() const { return config_.distill.source == distill::Source::cache; }
  /// Of what is made from the trained models: videos, files for other programs, and the record of `verify`.
  Stage sample_stage();
  Stage export_stage();
  Stage verify_stage();

  /// A model of the run; its stage must be complete.
  models::VideoTransformer load(WhichModel which);
  const data::LatentDataset& dataset();
  models::VideoCodec& codec() { return *encoders_.codec; }
  /// Frees the weights of the encoders until they are used again; the prompts that were encoded stay known.
  void forget_encoders() {
    encoders_.codec->release();
    encoders_.text->release();
  }
  /// Whether codec and text encoder are the published ones.
  bool published_encoders() const { return encoders_.published; }
  const models::ModelFiles& files() const { return files_; }
  /// The embedding [L,D] on this rank's device; what was once encoded stays known.
  at::Tensor encode_prompt(const std::string& prompt);
  /// The prompts of the `sample` section.
  std::vector<std::string> sample_prompts();
  sampling::Request sample_request(const models::VideoTransformer& model, std::uint64_t sample) const;
  /// Latents -> uint8 RGB [F,H,W,3].
  at::Tensor decode(const at::Tensor& latents);
  /// The experiment with other blocks converted (none: the control).
  Experiment with_hybrid(const models::HybridConfig& hybrid) const;

  const ExperimentConfig& config() const { return config_; }
  const comm::Communicator& world() const { return world_; }
  /// The kinds of models that the program knows.
  const models::ModelRegistry& families() const { return families_; }
  /// Chosen when it is first asked for: counting and dry runs need no GPU.
  at::Device device() const;
  std::vector<std::int64_t> latent() const;  ///< T, H, W
  const models::Architecture& architecture();
  /// The blocks that the `hybrid` section converts.
  models::BlockMap blocks();

  /// Makes and claims the folder on rank 0, which holds the lock, and saves the resolved config and the versions in it.
  /// Collective.
  [[nodiscard]] std::optional<FolderLock> open(const Stage& stage) const;

 private:
  /// Runs `work` unless the stage is complete; measures, marks and returns its summary. `results` are the files and
  /// folders that other stages load, relative to the stage's folder.
  nlohmann::ordered_json run(const Stage& stage, const std::vector<std::filesystem::path>& results,
                             const std::function<nlohmann::ordered_json(const Stage&)>& work);
  nlohmann::ordered_json train_flow(const Stage& stage, models::VideoTransformer model,
                                    const finetune::FlowTrainingConfig& config, const char* title);
  /// The resolved config and the versions, into the stage's folder. Collective.
  void record(const Stage& stage) const;
  void set_threads() const;
  std::string teacher_fingerprint();
  /// Of the model that sample.model names.
  std::string sampled_fingerprint();
  std::filesystem::path teacher_folder();
  /// Everything of the `cache` section that decides the teacher's trajectories.
  nlohmann::ordered_json trajectory_settings();
  /// The lines of cache.prompts, read once, so that what is encoded is what the stage is named by.
  const std::vector<std::string>& cache_prompts();
  /// Where the prompts of the teacher come from: of a file, which trajectory_settings() holds, the text encoder's
  /// fingerprint; else the dataset's. With a file no video has been prepared or need be there.
  std::pair<std::string, std::string> prompts_identity();
  /// How many prompts the teacher is run on. Throws UserError where they are too few to distil with.
  std::size_t prompt_count();
  /// The prompts that the teacher is run on. Those of a file are encoded into the stage's folder, and the text
  /// encoder's weights let go. Collective.
  distill::Prompts teacher_prompts(const Stage& stage, const std::string& command);
  distill::TeacherWalk teacher_walk(const models::VideoTransformer& teacher, distill::Prompts prompts);
  std::vector<std::int64_t> converted();  ///< numbers of the converted blocks
  std::unique_ptr<distill::PointSource> point_source(const models::VideoTransformer& teacher, distill::Prompts prompts);

  models::ModelFiles files_;
  ExperimentConfig config_;
  const comm::Communicator& world_;
  models::ModelRegistry families_;
  mutable std::optional<at::Device> device_;
  RunEncoders encoders_;
  std::map<std::string, at::Tensor> prompts_;  ///< embeddings by prompt
  std::vector<std::string> cache_prompts_;
  std::unique_ptr<data::LatentDataset> dataset_;
  std::optional<models::Architecture> architecture_;
  nlohmann::ordered_json new_model_;  ///< the settings of the teacher that pretrain makes
  std::string teacher_fingerprint_;
  std::optional<data::Identity> prepare_identity_, dataset_identity_;
  std::optional<data::ClipList> clips_;
  std::unique_ptr<ChecksumMemory> checksums_;  ///< of the videos
  data::ClipMarks clip_marks_;                 ///< of the clips that prepare_identity_ is of
};

}  // namespace rehyat::stages
