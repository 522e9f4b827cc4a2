#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "models/model_registry.h"

namespace rehyat::evaluate {

struct ParityRequest {
  std::filesystem::path fixture;
  std::filesystem::path weights;  ///< of the component; empty where it has none
  std::string form = "chunked";   ///< of attention: reference, chunked or recurrent
  at::Device device = at::kCPU;
  models::ModelRegistry families = models::known_models();
};

/// One component that `verify --parity` compares with what the original library made of the same inputs.
struct ParityComponent {
  enum class Weights { none, needed, optional };
  std::string name;
  Weights weights = Weights::none;
  bool forms = false;  ///< whether --form means anything
  /// Result: that of ParityErrors::report, "default_tolerance", and what the component says of itself. max_rel_error
  /// is, over all tensors, the largest difference divided by the tensor's largest reference value, undivided where that
  /// is 0. Throws UserError with file and tensor on what does not fit.
  std::function<nlohmann::ordered_json(const ParityRequest&)> run;
};

const std::vector<ParityComponent>& parity_components();
/// Throws UsageError where there is none of that name.
const ParityComponent& parity_component(const std::string& name);
/// "attention, transformer, ...": all, or those whose weights are so.
std::string parity_component_names(std::optional<ParityComponent::Weights> weights = {});

/// Runs a component: its result with "tolerance", that of the component where none is asked for.
nlohmann::ordered_json run_parity(const std::string& component, const ParityRequest& request,
                                  std::optional<double> tolerance);
/// Throws UserError unless a result of run_parity passes; `where` names the fixture.
void require_parity(const nlohmann::ordered_json& result, const std::string& where);

/// The largest relative error that passes where none was asked for: 1e-9 for float64, 1e-5 for float32, 2e-2 for the
/// half types.
double default_tolerance(at::ScalarType type);

}  // namespace rehyat::evaluate
