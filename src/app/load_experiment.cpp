#include "app/load_experiment.h"

#include "pipeline/costs.h"

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
  return pipeline::dimensions_of(config);
}

analysis::VideoSize video_of(const data::DataConfig& config) {
  return pipeline::video_of(config);
}

}  // namespace rehyat::app
