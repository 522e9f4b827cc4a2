#include <chrono>
#include <functional>
#include <iomanip>
#include <memory>
#include <optional>
#include <sstream>

#include "app/command.h"
#include "app/device_option.h"
#include "app/load_experiment.h"
#include "core/strings.h"
#include "evaluate/finite_json.h"
#include "evaluate/parity.h"
#include "evaluate/verify_model.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

/// Of the whole model and of fixtures in float64.
constexpr double kTolerance = 1e-9;

struct VerifyOptions {
  std::string config, model, which, parity, weights, fixture, form, device;
  std::vector<std::string> overrides;
  std::optional<double> tolerance;
};

/// Names of the components of which `take` is true.
std::string component_names(const std::function<bool(const evaluate::ParityComponent&)>& take) {
  std::vector<std::string> names;
  for (const auto& component : evaluate::parity_components()) {
    if (take(component)) names.push_back(component.name);
  }
  return join(names, ", ");
}

std::string component_names() {
  return component_names([](const evaluate::ParityComponent&) { return true; });
}

/// The component of --parity; throws UsageError where there is none.
const evaluate::ParityComponent& component_of(const std::string& name) {
  for (const auto& component : evaluate::parity_components()) {
    if (component.name == name) return component;
  }
  throw UsageError(Mistake{"--parity", cat('"', name, '"'), cat("one of: ", component_names()), ""});
}

void refuse(bool given, const std::string& option, const std::string& where, const std::string& hint) {
  if (given) throw UsageError(Mistake{cat("verify", where.empty() ? "" : " ", where), option, hint, ""});
}

void check_parity(const VerifyOptions& o) {
  using Weights = evaluate::ParityComponent::Weights;
  refuse(!o.config.empty(), "-c", "--parity", "a fixture alone; leave -c out");
  refuse(!o.overrides.empty(), "settings", "--parity", "a fixture alone; its settings are in its metadata");
  refuse(!o.model.empty(), "--model", "--parity", "a fixture alone; leave --model out, weights go with --weights");
  refuse(!o.which.empty(), "--which", "--parity", "a fixture alone; leave --which out");
  const evaluate::ParityComponent& component = component_of(o.parity);
  const std::string where = cat("--parity ", o.parity);
  refuse(o.fixture.empty(), "no fixture", where, "--fixture FILE.safetensors");
  refuse(component.weights == Weights::needed && o.weights.empty(), "no weights", where, "--weights FOLDER");
  refuse(component.weights == Weights::none && !o.weights.empty(), "--weights", where,
         "a fixture alone; leave --weights out");
  refuse(!component.forms && !o.form.empty(), "--form", where, "no form; leave --form out");
}

/// VerifyOptions that mean nothing beside others are refused, not ignored.
void check(const VerifyOptions& o) {
  if (!o.parity.empty()) return check_parity(o);
  refuse(!o.fixture.empty(), "--fixture without --parity", "",
         cat("both, or neither; add --parity with one of: ", component_names()));
  refuse(!o.weights.empty(), "--weights without --parity", "", "both, or neither; a model's folder goes with --model");
  refuse(!o.form.empty(), "--form without --parity", "", "it beside --parity; a model is checked in every form");
  refuse(!o.config.empty() && !o.model.empty(), "-c and --model", "", "one of them");
  refuse(o.config.empty() && !o.overrides.empty(), "settings without -c", "", "-c FILE.yaml in front of them");
  refuse(o.config.empty() && !o.which.empty(), "--which without -c", "", "-c FILE.yaml; a folder holds one model");
  refuse(!o.config.empty() && !o.device.empty(), "--device beside -c", "", "run.device=cpu or run.device=cuda");
  if (o.config.empty() && o.model.empty())
    throw UsageError(Mistake{"verify", "neither a config, a model nor a fixture",
                             "-c FILE.yaml, --model FOLDER, or --parity attention --fixture FILE.safetensors", ""});
}

std::string error_text(const json& value) {
  if (value.is_null()) return "-";
  std::ostringstream out;
  out << std::setprecision(3) << value.get<double>();
  return out.str();
}

std::string verify_table(const json& result) {
  std::ostringstream out;
  out << "verify " << result.at("model").get<std::string>() << ": largest relative error "
      << error_text(result.at("max_rel_error")) << ", at most " << error_text(result.at("tolerance"))
      << " passes; saved and read again: " << (result.at("reload_equal").get<bool>() ? "the same" : "DIFFERENT")
      << "\n\n"
      << std::left << std::setw(22) << "Tc,To" << std::right << std::setw(20) << "chunked/reference" << std::setw(20)
      << "recurrent/chunked" << std::setw(24) << "chunk by chunk/chunked";
  for (const json& row : result.at("forms")) {
    std::string name = row.at("tc").is_null() ? std::string("as in the model") : cat(row.at("tc"), ",", row.at("to"));
    if (row.at("own").get<bool>() && !row.at("tc").is_null()) name += " (the model's own)";
    out << "\n"
        << std::left << std::setw(22) << name << std::right << std::setw(20)
        << error_text(row.at("chunked_vs_reference")) << std::setw(20) << error_text(row.at("recurrent_vs_parallel"))
        << std::setw(24) << error_text(row.at("chunk_by_chunk_vs_parallel"));
  }
  for (const auto& [name, reason] : result.at("not_applicable").items())
    out << "\nnot applicable: " << name << ": " << reason.get<std::string>();
  return out.str();
}

void conclude(const Context& context, const std::string& where, const json& result, const std::string& text) {
  context.result(result, text);
  const double worst = result.at("max_rel_error"), tolerance = result.at("tolerance");
  require(result.at("finite").get<bool>(), [&] {
    return cat(where, ": found NaN or infinite values, or a model that differs after reading back, expected a largest ",
               "relative error of at most ", tolerance);
  });
  require(worst <= tolerance,
          [&] { return cat(where, ": found a largest relative error of ", worst, ", expected at most ", tolerance); });
}

void verify_folder(const Context& context, const VerifyOptions& options) {
  models::VideoTransformer model =
      context.families.load(options.model, {.device = device_option(options.device.empty() ? "cpu" : options.device)});
  const auto most = std::numeric_limits<std::int64_t>::max();  // the check's own
  json result = evaluate::verify_model(model, context.families, {most, most}, 0);
  result["model"] = options.model;
  result["tolerance"] = options.tolerance.value_or(kTolerance);
  conclude(context, options.model, result, verify_table(result));
}

void verify_run(const Context& context, const VerifyOptions& options) {
  Arguments arguments;
  arguments.config = options.config;
  arguments.overrides = options.overrides;
  const Context own{arguments, context.world, context.families};
  stages::Experiment experiment = load_experiment(own);
  const std::string which = options.which.empty() ? "finetuned" : options.which;
  const auto start = std::chrono::steady_clock::now();
  stages::WhichModel model_of_run = stages::WhichModel::finetuned;
  for (const auto& [name, value] : stages::model_names()) {
    if (name == which) model_of_run = value;
  }
  models::VideoTransformer model = experiment.load(model_of_run);
  json result = evaluate::verify_model(model, context.families, {experiment.latent()[1], experiment.latent()[2]},
                                       experiment.config().run.seed);
  result["model"] = cat(which, " of ", options.config);
  result["tolerance"] = options.tolerance.value_or(kTolerance);
  conclude(context, cat("[verify] ", which, " of ", options.config), result, verify_table(result));
  if (model_of_run != stages::WhichModel::finetuned) return;
  // Only what passed leaves its record, which the report shows.
  const stages::Stage stage = experiment.verify_stage();
  const auto lock = experiment.open(stage);
  result["seconds"] = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  stage.finish(result);
}

void verify_parity(const Context& context, const VerifyOptions& options) {
  evaluate::ParityRequest request;
  request.fixture = options.fixture;
  request.weights = options.weights;
  request.form = options.form.empty() ? "chunked" : options.form;
  request.families = context.families;
  request.device = device_option(options.device.empty() ? "cpu" : options.device);
  json result = evaluate::finite_json(component_of(options.parity).run(request));
  result["tolerance"] = options.tolerance.value_or(result.at("default_tolerance").get<double>());
  result.erase("default_tolerance");
  conclude(context, options.fixture, result, cat("parity: ", result.dump(2)));
}

void verify(Context& context, const VerifyOptions& options) {
  check(options);
  require(context.world.size() == 1,
          [] { return "[verify] found several ranks, expected one; start it without mpirun"; });
  if (!options.parity.empty()) return verify_parity(context, options);
  if (!options.model.empty()) return verify_folder(context, options);
  verify_run(context, options);
}

}  // namespace

Command verify_command() {
  Command command;
  command.name = "verify";
  command.summary =
      "check on your own checkpoint that the forms agree and that reloading changes nothing; or compare with a fixture";
  command.example =
      "rehyat verify -c configs/demo.yaml\n"
      "  rehyat verify --model runs/demo/export-1a2b3c4d/transformer\n"
      "  rehyat verify --parity attention --fixture FILE.safetensors --form recurrent --json\n"
      "  rehyat verify --parity transformer --weights weights/wan/transformer --fixture FILE.safetensors";
  command.takes_config = false;
  const auto options = std::make_shared<VerifyOptions>();
  command.declare = [options](CLI::App& app) {
    std::vector<std::string> names;
    for (const auto& item : stages::model_names()) names.push_back(item.first);
    app.add_option("-c,--config", options->config, "the run whose model is checked");
    app.add_option("overrides", options->overrides, "settings that replace the file's: dotted.key=value");
    app.add_option("--which", options->which, "model of the run: teacher, undistilled, distilled, finetuned (default)")
        ->check(CLI::IsMember(names));
    app.add_option("--model", options->model, "or a model folder or single file, an exported one for example");
    app.add_option("--parity", options->parity, cat("or a component to compare with a fixture: ", component_names()));
    app.add_option(
        "--weights", options->weights,
        cat("folder (or file) of the component's weights or settings in any published layout; not for ",
            component_names([](const auto& c) { return c.weights == evaluate::ParityComponent::Weights::none; }),
            ", may be left out for ",
            component_names([](const auto& c) { return c.weights == evaluate::ParityComponent::Weights::optional; }),
            " whose fixture names its class"));
    app.add_option("--fixture", options->fixture,
                   "safetensors file with the component's inputs and expected outputs, named as in the original "
                   "library (README), and settings in its metadata; of attention slices and kind are needed, tc = 3, "
                   "to = 1, causal = true, normalizer = joint and rate = 2 are assumed where they are absent");
    app.add_option(
           "--form", options->form,
           "of attention: reference, chunked (default) or recurrent, which has no gradients: only y is compared")
        ->check(CLI::IsMember({"reference", "chunked", "recurrent"}));
    app.add_option("--device", options->device, "cpu (default) or cuda, for --parity and --model")
        ->check(CLI::IsMember({"cpu", "cuda"}));
    app.add_option("--tolerance", options->tolerance,
                   "largest relative error that passes; default 1e-9 in float64, which models are checked in; a "
                   "fixture in float32 1e-5, in half types 2e-2, of a scheduler 2e-6")
        ->check(CLI::NonNegativeNumber);
  };
  command.run = [options](Context& context) { verify(context, *options); };
  return command;
}

}  // namespace rehyat::app
