#include "app/load_experiment.h"

#include <memory>
#include <utility>

#include "core/log.h"
#include "core/strings.h"
#include "files/json.h"
#include "stages/costs.h"

namespace rehyat::app {
namespace {

void warn_about_encoders(const stages::Experiment& experiment) {
  const std::filesystem::path& weights = experiment.config().model.weights;
  const auto path = experiment.files().transformer / "config.json";
  if (weights.empty() || experiment.published_encoders() || !std::filesystem::exists(path)) return;
  JsonLimits limits;
  limits.bytes = 1 << 20;
  limits.what = "a model's config";
  // diffusers writes its version into every folder; this program does not.
  if (!read_json_object(path, limits).contains("_diffusers_version")) return;
  log::warn(
      weights.string(),
      ": found a teacher of another program without its VAE and text encoder, so that the embedded ones are used: "
      "latents and prompts mean nothing to it; name them with model.vae and model.text");
}

/// "file:line:column" of the key that a message begins with, "hybrid.blocks.list: found ..."; the file where it begins
/// with none.
std::string place_of(const std::string& message, const config::Document& document, const Context& context) {
  const std::string key = message.substr(0, message.find(':'));
  const bool dotted = !key.empty() && key.find_first_not_of("abcdefghijklmnopqrstuvwxyz_.0123456789") == key.npos;
  const std::string where = dotted ? document.where(key) : "";
  return where.empty() ? context.arguments.config.string() : where;
}

std::unique_ptr<stages::Experiment> load(const Context& context) {
  const auto document = config::Document::from_file(context.arguments.config, context.arguments.overrides);
  try {
    auto config = config::load<stages::ExperimentConfig>(document);
    auto experiment = std::make_unique<stages::Experiment>(std::move(config), context.world, context.families);
    if (context.world.rank() == 0) warn_about_encoders(*experiment);
    experiment->blocks();  // numbers that the model lacks
    return experiment;
  } catch (const UsageError&) {
    throw;
  } catch (const UserError& error) {
    throw UsageError(cat(place_of(error.what(), document, context), ": ", error.what()));
  }
}

}  // namespace

stages::Experiment load_experiment(const Context& context) {
  std::unique_ptr<stages::Experiment> experiment;
  context.world.together([&] { experiment = load(context); });
  return std::move(*experiment);
}

std::set<std::string> sections_of(const Arguments& arguments) {
  stages::ExperimentConfig config;
  config::Fields fields;
  config.fields(fields);
  config::Document::from_file(arguments.config, arguments.overrides).bind(fields);
  std::set<std::string> names;
  for (const auto& field : fields.all()) {
    if (field->present) names.insert(field->name);
  }
  return names;
}

analysis::VideoSize video_of(stages::Experiment& experiment) {
  return stages::video_of(experiment.config().data, experiment.codec().geometry());
}

std::vector<analysis::BlockChoice> block_choices(stages::Experiment& experiment) {
  std::vector<analysis::BlockChoice> blocks(static_cast<std::size_t>(experiment.architecture().layers),
                                            analysis::softmax_block());
  for (const auto& [block, attention] : experiment.blocks())
    blocks[static_cast<std::size_t>(block)] = {attention.spec, attention.phi};
  return blocks;
}

}  // namespace rehyat::app
