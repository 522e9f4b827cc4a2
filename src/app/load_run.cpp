#include "app/load_run.h"

#include <utility>

#include "core/log.h"
#include "core/strings.h"
#include "files/json.h"

namespace rehyat::app {
namespace {

void warn_about_encoders(stages::Run& run) {
  const std::filesystem::path& weights = run.config().model.weights;
  const auto path = run.models().files().transformer / "config.json";
  if (weights.empty() || run.encoders().published || !std::filesystem::exists(path)) return;
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

}  // namespace

std::unique_ptr<stages::Run> load_run(const Context& context, stages::Purpose purpose) {
  std::unique_ptr<stages::Run> run;
  context.world.all_or_none([&] {
    const auto document = config::Document::from_file(context.arguments.config, context.arguments.overrides);
    try {
      auto config = config::load<stages::ExperimentConfig>(document);
      run =
          std::make_unique<stages::Run>(std::move(config), context.world, context.registry, context.families, purpose);
      if (context.world.rank() == 0) warn_about_encoders(*run);
      run->models().blocks();  // throws where the config names one that the model lacks
    } catch (const UsageError&) {
      throw;
    } catch (const UserError& error) {
      throw UsageError(cat(place_of(error.what(), document, context), ": ", error.what()));
    }
  });
  return run;
}

std::set<std::string> sections_of(const Arguments& arguments) {
  stages::ExperimentConfig config;
  config::Fields fields;
  config.fields(fields);
  config::Document::from_file(arguments.config, arguments.overrides).bind(fields);
  std::set<std::string> names;
  for (const auto& field : fields.all()) {
    if (field->is_given()) names.insert(field->name());
  }
  return names;
}

}  // namespace rehyat::app
