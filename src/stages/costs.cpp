#include "stages/costs.h"

namespace rehyat::stages {

analysis::VideoSize video_of(const data::DataConfig& config, const models::VideoGeometry& geometry) {
  return {config.frames, config.size[0], config.size[1], geometry};
}

double training_step_tflops(const models::Architecture& model, const models::BlockMap& blocks,
                            const analysis::VideoSize& video, std::int64_t samples) {
  std::vector<analysis::BlockChoice> choices(static_cast<std::size_t>(model.layers), analysis::softmax_block());
  for (const auto& [block, attention] : blocks)
    choices[static_cast<std::size_t>(block)] = {attention.spec, attention.phi};
  // The parallel form folds every token into the state once, as the recurrent count has it. The backward pass costs
  // twice the forward one.
  return 3 * static_cast<double>(samples) * analysis::model_cost(model, video, choices).tflops_recurrent;
}

}  // namespace rehyat::stages
