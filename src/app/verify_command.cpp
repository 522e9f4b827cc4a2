#include <memory>

#include "app/command.h"
#include "app/device_option.h"
#include "app/verify_options.h"
#include "core/readable.h"
#include "core/strings.h"
#include "evaluate/parity.h"
#include "evaluate/verify_model.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;

void verify_folder(const Context& context, const VerifyOptions& options) {
  const at::Device device = device_option(options.device.empty() ? "cpu" : options.device);
  const evaluate::VerifyResult result = evaluate::verify_folder(options.model, context.families, device,
                                                                options.tolerance.value_or(evaluate::kTolerance));
  context.result(config::to_json(result), result.text());
  const std::string complaint = result.complaint();
  require(complaint.empty(), [&] { return cat(options.model, ": ", complaint); });
}

void verify_parity(const Context& context, const VerifyOptions& options) {
  evaluate::ParityRequest request;
  request.fixture = options.fixture;
  request.weights = options.weights;
  request.form = options.form.empty() ? "chunked" : options.form;
  request.families = context.families;
  request.device = device_option(options.device.empty() ? "cpu" : options.device);
  const json result = evaluate::run_parity(options.parity, request, options.tolerance);
  context.result(result, readable(result));
  evaluate::require_parity(result, options.fixture);
}

/// The options that say the same as settings.
void verify_run(const Context& context, const VerifyOptions& options, const stages::Stage& stage) {
  Arguments arguments = context.arguments;
  if (!options.trained_model.empty()) arguments.overrides.push_back("verify.model=" + options.trained_model);
  if (options.tolerance) arguments.overrides.push_back("verify.tolerance=" + json(*options.tolerance).dump());
  run_stage_command({arguments, context.world, context.registry, context.families}, stage);
}

}  // namespace

Command verify_command(const stages::Stage& stage) {
  Command command = stage_command(stage);
  command.summary += "; or compare with a fixture";
  command.example +=
      "\n  rehyat verify --model runs/demo/export/transformer\n"
      "  rehyat verify --parity attention --fixture attention.safetensors --form recurrent --json\n"
      "  rehyat verify --parity transformer --weights weights/wan/transformer --fixture transformer.safetensors";
  command.config = Command::Config::optional;
  const auto options = std::make_shared<VerifyOptions>();
  command.declare = [options](CLI::App& app) { options->declare(app); };
  command.run = [options, &stage](const Context& context) {
    options->check(context.arguments);
    require(context.world.size() == 1,
            [] { return "[verify] found several ranks, expected one; start it without mpirun"; });
    if (!options->parity.empty()) return verify_parity(context, *options);
    if (!options->model.empty()) return verify_folder(context, *options);
    verify_run(context, *options, stage);
  };
  return command;
}

}  // namespace rehyat::app
