#pragma once

#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "data/encoders.h"
#include "data/latent_dataset.h"
#include "dist/communicator.h"
#include "models/wan/transformer.h"
#include "pipeline/config.h"
#include "pipeline/stage.h"
#include "sampling/generate.h"

namespace rehyat::pipeline {

/// One experiment: its stages, in order, each in a folder that its inputs name, so that what is complete is not done
/// again and what another experiment of the same run folder made is found. All functions are collective and return the
/// stage's summary.
class Experiment {
 public:
  Experiment(ExperimentConfig config, const dist::Communicator& world);
  Experiment(Experiment&&) noexcept;
  ~Experiment();

  nlohmann::ordered_json prepare();
  nlohmann::ordered_json pretrain();
  nlohmann::ordered_json cache();
  nlohmann::ordered_json distill();
  nlohmann::ordered_json finetune();

  Stage prepare_stage();
  Stage pretrain_stage();
  Stage cache_stage();
  Stage distill_stage();
  Stage finetune_stage();

  /// A model of the run; its stage must be complete.
  models::WanTransformer load(WhichModel which);
  const data::LatentDataset& dataset();
  data::VideoCodec& codec() { return *codec_; }
  at::Tensor encode_prompt(const std::string& prompt);
  /// The prompts of the `sample` section.
  std::vector<std::string> sample_prompts();
  sampling::Request sample_request(const models::WanTransformer& model, std::uint64_t sample) const;
  /// Latents -> uint8 RGB [F,H,W,3].
  at::Tensor decode(const at::Tensor& latents);
  /// The experiment with other blocks converted (none: the control).
  Experiment with_hybrid(const models::HybridConfig& hybrid) const;

  const ExperimentConfig& config() const { return config_; }
  const dist::Communicator& world() const { return world_; }
  at::Device device() const { return device_; }
  std::vector<std::int64_t> latent() const;  ///< T, H, W
  const models::WanConfig& architecture();
  /// The blocks that the `hybrid` section converts.
  models::BlockMap blocks();

 private:
  /// Runs `work` unless the stage is complete; measures, marks and returns its summary.
  nlohmann::ordered_json run(const Stage& stage, const std::function<nlohmann::ordered_json(const Stage&)>& work);
  nlohmann::ordered_json train_flow(const Stage& stage, models::WanTransformer model,
                                    const finetune::FlowTrainingConfig& config, const char* title);
  std::string teacher_fingerprint();
  std::filesystem::path teacher_folder();
  data::Identity dataset_identity();

  ExperimentConfig config_;
  const dist::Communicator& world_;
  at::Device device_;
  std::unique_ptr<data::VideoCodec> codec_;
  std::unique_ptr<data::TextEncoder> text_;
  std::unique_ptr<data::LatentDataset> dataset_;
  std::optional<models::WanConfig> architecture_;
  std::string teacher_fingerprint_;
  std::optional<data::Identity> dataset_identity_;
};

}  // namespace rehyat::pipeline
