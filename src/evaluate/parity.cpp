#include "evaluate/parity.h"

#include "core/error.h"
#include "core/strings.h"
#include "evaluate/finite_json.h"
#include "evaluate/parity_attention.h"
#include "evaluate/parity_scheduler.h"
#include "evaluate/parity_text.h"
#include "evaluate/parity_transformer.h"
#include "evaluate/parity_vae.h"

namespace rehyat::evaluate {

const std::vector<ParityComponent>& parity_components() {
  using Weights = ParityComponent::Weights;
  static const std::vector<ParityComponent> all = {
      {"attention", Weights::none, true, attention_parity},
      {"transformer", Weights::needed, false, transformer_parity},
      {"vae.encode", Weights::needed, false, vae_encode_parity},
      {"vae.decode", Weights::needed, false, vae_decode_parity},
      {"text", Weights::needed, false, text_parity},
      {"scheduler", Weights::optional, false, scheduler_parity},
  };
  return all;
}

const ParityComponent& parity_component(const std::string& name) {
  for (const ParityComponent& component : parity_components()) {
    if (component.name == name) return component;
  }
  throw UsageError(Mistake{"--parity", cat('"', name, '"'), cat("one of: ", parity_component_names()), ""});
}

std::string parity_component_names(std::optional<ParityComponent::Weights> weights) {
  std::vector<std::string> names;
  for (const ParityComponent& component : parity_components()) {
    if (!weights || component.weights == *weights) names.push_back(component.name);
  }
  return join(names, ", ");
}

nlohmann::ordered_json run_parity(const std::string& component, const ParityRequest& request,
                                  std::optional<double> tolerance) {
  nlohmann::ordered_json result = finite_json(parity_component(component).run(request));
  result["tolerance"] = tolerance.value_or(result.at("default_tolerance").get<double>());
  result.erase("default_tolerance");
  return result;
}

void require_parity(const nlohmann::ordered_json& result, const std::string& where) {
  const double worst = result.at("max_rel_error"), tolerance = result.at("tolerance");
  require(result.at("finite").get<bool>(), [&] {
    return cat(where, ": found NaN or infinite values, expected a largest relative error of at most ", tolerance);
  });
  require(worst <= tolerance,
          [&] { return cat(where, ": found a largest relative error of ", worst, ", expected at most ", tolerance); });
}

double default_tolerance(at::ScalarType type) {
  return type == at::kDouble ? 1e-9 : type == at::kFloat ? 1e-5 : 2e-2;
}

}  // namespace rehyat::evaluate
