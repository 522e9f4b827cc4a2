#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "finetune/config.h"
#include "models/video_transformer.h"
#include "stages/run.h"
#include "stages/stage.h"

/// What the stages `pretrain` and `finetune` have in common: flow matching of all parameters.
namespace rehyat::stages {

struct TrainingResult {
  std::int64_t iterations = 0;
  double validation_loss = 0, training_loss = 0;
  double no_context_loss = 0;  ///< of the best predictor that needs no transformer: what the model has to beat

  void fields(config::Fields& f);
};

/// The result as people read it.
std::string training_text(const TrainingResult& result);

/// Trains the model and writes it to model/ in the folder. `name` is the stage's, `title` that of log lines.
TrainingResult train_flow(Run& run, const StageFolder& folder, models::VideoTransformer model,
                          const finetune::FlowTrainingConfig& config, const std::string& name,
                          const std::string& title);

/// Of a model with these blocks converted; `section` is the config's, for warnings.
Needs training_needs(Run& run, const models::BlockMap& blocks, const finetune::FlowTrainingConfig& config,
                     const std::string& section);

}  // namespace rehyat::stages
