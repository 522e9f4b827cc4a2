#include "stages/costs.h"

namespace rehyat::stages {

analysis::Dimensions dimensions_of(const models::WanConfig& config) {
  analysis::Dimensions d;
  d.dim = config.dim;
  d.layers = config.layers;
  d.heads = config.heads;
  d.ffn = config.ffn_dim;
  d.frequency = config.freq_dim;
  d.text_width = config.text_dim;
  d.text_tokens = config.text_length;
  d.channels = config.in_channels;
  d.out_channels = config.out_channels;
  d.patch = {1, config.patch, config.patch};
  return d;
}

analysis::VideoSize video_of(const data::DataConfig& config) {
  return {config.frames, config.size[0], config.size[1]};
}

double training_step_tflops(const models::WanConfig& model, const models::BlockMap& blocks,
                            const data::DataConfig& video, std::int64_t samples) {
  std::vector<analysis::BlockChoice> choices(static_cast<std::size_t>(model.layers), analysis::softmax_block());
  for (const auto& [block, attention] : blocks)
    choices[static_cast<std::size_t>(block)] = {attention.spec, attention.phi};
  // The parallel form folds every token into the state once, as the recurrent count has it. The backward pass costs
  // twice the forward one.
  return 3 * static_cast<double>(samples) *
         analysis::model_cost(dimensions_of(model), video_of(video), choices).tflops_recurrent;
}

}  // namespace rehyat::stages
