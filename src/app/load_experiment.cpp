#include "app/load_experiment.h"

namespace rehyat::app {

pipeline::Experiment load_experiment(const Context& context) {
  const auto document = config::Document::from_file(context.arguments.config, context.arguments.overrides);
  try {
    return pipeline::Experiment(config::load<pipeline::ExperimentConfig>(document), context.world);
  } catch (const UsageError&) {
    throw;
  } catch (const UserError& error) {
    throw UsageError(context.arguments.config.string() + ": " + error.what());
  }
}

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
  d.patch = {1, config.patch, config.patch};
  return d;
}

analysis::VideoSize video_of(const data::DataConfig& config) {
  return {config.frames, config.size[0], config.size[1]};
}

}  // namespace rehyat::app
