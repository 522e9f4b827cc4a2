#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "data/config.h"
#include "distill/config.h"
#include "finetune/config.h"
#include "models/encoder_settings.h"
#include "models/hybrid.h"
#include "tensor/precision.h"

/// One YAML file describes a whole experiment; each command reads its sections.
namespace rehyat::stages {

struct RunConfig {
  std::filesystem::path dir = "runs/default";
  std::uint64_t seed = 1;
  std::int64_t threads = 0;                  ///< CPU threads of each rank; 0 = cores / ranks of this machine
  double gpu_tflops = 300;                   ///< what one GPU sustains, for the estimates of --dry-run
  std::int64_t gpu_memory = 80'000'000'000;  ///< bytes of one GPU
  std::string device = "auto";

  void fields(config::Fields& f);
};

struct ModelConfig {
  std::filesystem::path weights;    ///< a teacher's folder or file, or a whole pipeline; empty: `pretrain` makes one
  std::string published;            ///< name of the model that `weights` is, for plans before it is there; or empty
  std::filesystem::path vae, text;  ///< where the published encoders lie elsewhere
  std::string family = "wan";       ///< of the teacher that `pretrain` makes
  config::Section architecture;     ///< its sizes, which the family reads
  std::string encoders = "auto";    ///< video codec and text encoder, by the name of their family
  models::EncoderSettings encoder_settings;

  /// Whether the teacher is one that was published, which `pretrain` does not make.
  bool names_teacher() const { return !weights.empty() || !published.empty(); }
  void fields(config::Fields& f);
};

enum class TrainedModel { teacher, undistilled, distilled, finetuned };
const std::vector<std::pair<std::string, TrainedModel>>& model_names();
std::string to_string(TrainedModel which);

/// `automatic`: recurrent where the model can be sampled chunk by chunk, in memory that does not grow with the video;
/// else parallel, which is faster.
enum class SampleForm { automatic, parallel, recurrent };

struct SampleConfig {
  std::vector<std::string> prompts;    ///< given in the file itself
  std::string negative_prompt;         ///< of the unconditional branch
  std::filesystem::path noise;         ///< initial noise for every video, in place of that of the seed
  std::int64_t videos_per_prompt = 1;  ///< with different noise
  bool keep_frames = false;            ///< also the decoded frames as they were before the video codec
  std::filesystem::path prompts_file;  ///< or one a line
  diffusion::SamplerConfig sampler;
  double guidance = 6.0;
  SampleForm form = SampleForm::automatic;
  Precision precision = Precision::automatic;
  TrainedModel model = TrainedModel::finetuned;
  std::uint64_t seed = 0;
  std::int64_t max_prompts = 0;

  SampleConfig() { sampler.kind = diffusion::SamplerKind::automatic; }
  void fields(config::Fields& f);
  void validate() const;
  /// The form in which a model of so many layers with this attention in its converted blocks is sampled.
  models::AttentionForm resolved_form(const models::BlockMap& blocks, std::int64_t layers) const;
};

struct ExportConfig {
  std::vector<std::string> formats;  ///< of the model's family; its first where none is named
  std::string dtype = "f32";
  TrainedModel model = TrainedModel::finetuned;
  std::int64_t max_shard = 10'000'000'000;

  void fields(config::Fields& f);
  void validate() const;
};

/// The `verify` section.
struct VerifyConfig {
  TrainedModel model = TrainedModel::finetuned;
  double tolerance = 1e-9;  ///< largest relative error that passes, in float64

  void fields(config::Fields& f);
};

/// Seconds that each stage may take on the machine that the config was made for; shown beside the time taken.
struct BudgetConfig {
  double prepare = 0, pretrain = 0, cache = 0, distill = 0, finetune = 0, control = 0;
  double sample = 0, verify = 0, export_ = 0, report = 0;
  void fields(config::Fields& f);
};

struct ReportConfig {
  std::string title = "ReHyAt";
  std::int64_t prompts = 2;        ///< compared side by side
  std::filesystem::path commands;  ///< a text file with the commands that were run; empty: none are shown
  BudgetConfig budget;
  void fields(config::Fields& f);
};

struct ExperimentConfig {
  RunConfig run;
  ModelConfig model;
  models::HybridConfig hybrid;
  data::DataConfig data;
  finetune::FlowTrainingConfig pretrain;
  distill::CacheConfig cache;
  distill::DistillConfig distill;
  finetune::FlowTrainingConfig finetune;
  SampleConfig sample;
  ExportConfig export_;
  VerifyConfig verify;
  ReportConfig report;

  ExperimentConfig();
  void fields(config::Fields& f);
  void validate() const;
  /// Fills in what defaults to something else: sample.sampler to the model's own scheduler where it has one, the flow
  /// shift of training and of the cache's sampler to that of sample.sampler, data.size and data.frames to those of the
  /// first of data.buckets, and each precision to that of the device, so that what a GPU has begun in bf16 is not taken
  /// for what a CPU would make.
  void resolve(bool gpu = false, const std::optional<diffusion::SamplerConfig>& published = {});
};

}  // namespace rehyat::stages
