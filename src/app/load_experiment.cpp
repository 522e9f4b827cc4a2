#include "app/load_experiment.h"

#include <memory>
#include <utility>

#include "core/strings.h"

namespace rehyat::app {

namespace {

/// "file:line:column" of the key that a message begins with, "hybrid.blocks.list: found ..."; the file where it begins
/// with none.
std::string place_of(const std::string& message, const config::Document& document, const Context& context) {
  const std::string key = message.substr(0, message.find(':'));
  const bool dotted = !key.empty() && key.find_first_not_of("abcdefghijklmnopqrstuvwxyz_.0123456789") == key.npos;
  const std::string where = dotted ? document.where(key) : "";
  return where.empty() ? context.arguments.config.string() : where;
}

std::unique_ptr<pipeline::Experiment> load(const Context& context) {
  const auto document = config::Document::from_file(context.arguments.config, context.arguments.overrides);
  try {
    auto experiment =
        std::make_unique<pipeline::Experiment>(config::load<pipeline::ExperimentConfig>(document), context.world);
    experiment->blocks();  // numbers that the model lacks
    return experiment;
  } catch (const UsageError&) {
    throw;
  } catch (const UserError& error) {
    throw UsageError(cat(place_of(error.what(), document, context), ": ", error.what()));
  }
}

}  // namespace

pipeline::Experiment load_experiment(const Context& context) {
  std::unique_ptr<pipeline::Experiment> experiment;
  context.world.together([&] { experiment = load(context); });
  return std::move(*experiment);
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
