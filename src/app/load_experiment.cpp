#include "app/load_experiment.h"

#include "core/atomic_file.h"
#include "core/log.h"
#include "core/strings.h"
#include "pipeline/costs.h"

namespace rehyat::app {
namespace {

void warn_about_encoders(const pipeline::ModelConfig& model) {
  const auto path = model.weights / "config.json";
  if (model.weights.empty() || !std::filesystem::exists(path)) return;
  const auto config = nlohmann::json::parse(read_file(path, 1 << 20), nullptr, false);
  // diffusers writes its version into every folder; this program does not.
  if (!config.is_object() || !config.contains("_diffusers_version")) return;
  log::warn(model.weights.string(),
            ": found a teacher of another program, but model.encoders is embedded: it was trained on another video "
            "codec and text encoder, so that latents and prompts mean nothing to it; use it for counting and speed, "
            "or with a teacher that `rehyat pretrain` made");
}

}  // namespace

pipeline::Experiment load_experiment(const Context& context) {
  const auto document = config::Document::from_file(context.arguments.config, context.arguments.overrides);
  try {
    auto config = config::load<pipeline::ExperimentConfig>(document);
    if (context.world.rank() == 0) warn_about_encoders(config.model);
    return pipeline::Experiment(std::move(config), context.world);
  } catch (const UsageError&) {
    throw;
  } catch (const UserError& error) {
    throw UsageError(context.arguments.config.string() + ": " + error.what());
  }
}

std::set<std::string> sections_of(const Arguments& arguments) {
  pipeline::ExperimentConfig config;
  config::Fields fields;
  config.fields(fields);
  config::Document::from_file(arguments.config, arguments.overrides).bind(fields);
  std::set<std::string> names;
  for (const auto& field : fields.all()) {
    if (field->present) names.insert(field->name);
  }
  return names;
}

analysis::Dimensions dimensions_of(const models::WanConfig& config) {
  return pipeline::dimensions_of(config);
}

analysis::VideoSize video_of(const data::DataConfig& config) {
  return pipeline::video_of(config);
}

std::vector<analysis::BlockChoice> block_choices(pipeline::Experiment& experiment) {
  std::vector<analysis::BlockChoice> blocks(static_cast<std::size_t>(experiment.architecture().layers),
                                            analysis::softmax_block());
  for (const auto& [block, attention] : experiment.blocks())
    blocks[static_cast<std::size_t>(block)] = {attention.spec, attention.phi};
  return blocks;
}

}  // namespace rehyat::app
