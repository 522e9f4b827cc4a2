#include "app/verify_options.h"

#include "app/path_option.h"
#include "core/strings.h"
#include "evaluate/parity.h"
#include "stages/config.h"

namespace rehyat::app {
namespace {

using Weights = evaluate::ParityComponent::Weights;

void refuse(bool given, const std::string& option, const std::string& where, const std::string& hint) {
  if (given) throw UsageError(Mistake{cat("verify", where.empty() ? "" : " ", where), option, hint, ""});
}

void check_parity(const VerifyOptions& o, const Arguments& arguments) {
  refuse(!arguments.config.empty(), "-c", "--parity", "a fixture alone; leave -c out");
  refuse(!o.model.empty(), "--model", "--parity", "a fixture alone; leave --model out, weights go with --weights");
  refuse(!o.trained_model.empty(), "--which", "--parity", "a fixture alone; leave --which out");
  const evaluate::ParityComponent& component = evaluate::parity_component(o.parity);
  const std::string where = cat("--parity ", o.parity);
  refuse(o.fixture.empty(), "no fixture", where, "--fixture FILE.safetensors");
  refuse(component.weights == Weights::needed && o.weights.empty(), "no weights", where, "--weights FOLDER");
  refuse(component.weights == Weights::none && !o.weights.empty(), "--weights", where,
         "a fixture alone; leave --weights out");
  refuse(!component.forms && !o.form.empty(), "--form", where, "no form; leave --form out");
}

}  // namespace

void VerifyOptions::declare(CLI::App& app) {
  std::vector<std::string> names;
  for (const auto& item : stages::model_names()) names.push_back(item.first);
  const std::string components = evaluate::parity_component_names();
  app.add_option("--which", trained_model,
                 "model of the run, the same as verify.model: teacher, undistilled, distilled, finetuned")
      ->check(CLI::IsMember(names));
  app.add_option("--model", model, "or a model folder or single file, an exported one for example")
      ->transform(user_path_option());
  app.add_option("--parity", parity, cat("or a component to compare with a fixture: ", components));
  app.add_option("--weights", weights,
                 cat("folder (or file) of the component's weights or settings in any published layout; not for ",
                     evaluate::parity_component_names(Weights::none), ", may be left out for ",
                     evaluate::parity_component_names(Weights::optional), " whose fixture names its class"))
      ->transform(user_path_option());
  app.add_option(
         "--fixture", fixture,
         "safetensors file with the component's inputs and expected outputs, named as in the original "
         "library (docs/parity.md), and settings in its metadata; of attention slices and kind are needed, tc = 3, "
         "to = 1, causal = true, normalizer = joint and rate = 2 are assumed where they are absent")
      ->transform(user_path_option());
  app.add_option("--form", form,
                 "of attention: reference, chunked (default) or recurrent, which has no gradients: only y is compared")
      ->check(CLI::IsMember({"reference", "chunked", "recurrent"}));
  app.add_option("--device", device, "cpu (default) or cuda, for --parity and --model")
      ->check(CLI::IsMember({"cpu", "cuda"}));
  app.add_option("--tolerance", tolerance,
                 "largest relative error that passes; default 1e-9 in float64, which models are checked in; a "
                 "fixture in float32 1e-5, in half types 2e-2, of a scheduler 2e-6")
      ->check(CLI::NonNegativeNumber);
}

void VerifyOptions::check(const Arguments& arguments) const {
  const bool config = !arguments.config.empty();
  refuse(!config && arguments.dry_run, "--dry-run without -c", "", "-c FILE.yaml beside it");
  if (!parity.empty()) return check_parity(*this, arguments);
  const std::string components = evaluate::parity_component_names();
  refuse(!fixture.empty(), "--fixture without --parity", "",
         cat("both, or neither; add --parity with one of: ", components));
  refuse(!weights.empty(), "--weights without --parity", "", "both, or neither; a model's folder goes with --model");
  refuse(!form.empty(), "--form without --parity", "", "it beside --parity; a model is checked in every form");
  refuse(config && !model.empty(), "-c and --model", "", "one of them");
  refuse(!config && !trained_model.empty(), "--which without -c", "", "-c FILE.yaml; a folder holds one model");
  refuse(config && !device.empty(), "--device beside -c", "", "run.device=cpu or run.device=cuda");
  refuse(!config && model.empty(), "neither a config, a model nor a fixture", "",
         "-c FILE.yaml, --model FOLDER, or --parity attention --fixture FILE.safetensors");
}

}  // namespace rehyat::app
