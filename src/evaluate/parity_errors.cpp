#include "evaluate/parity_errors.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::evaluate {

void ParityErrors::add(const std::string& where, const std::string& name, const at::Tensor& found,
                       const at::Tensor& expected) {
  require(found.sizes() == expected.sizes(), [&] {
    return cat(where, ": tensor '", name, "': found shape ", shape_string(expected.sizes().vec()),
               ", expected that of the result, ", shape_string(found.sizes().vec()));
  });
  double absolute = 0, largest = 0;
  if (expected.numel() > 0) {
    const at::Tensor reference = expected.detach().to(at::kCPU, at::kDouble);
    absolute = (found.detach().to(at::kCPU, at::kDouble) - reference).abs().max().item<double>();
    largest = reference.abs().max().item<double>();
  }
  // A NaN must not pass for a small number.
  if (!std::isfinite(absolute)) absolute = std::numeric_limits<double>::infinity();
  const double relative = largest > 0 ? absolute / largest : absolute;
  errors_[name] = relative;
  relative_ = std::max(relative_, relative);
  absolute_ = std::max(absolute_, absolute);
}

nlohmann::ordered_json ParityErrors::report(const std::string& component) const {
  return {{"component", component}, {"max_rel_error", relative_}, {"max_abs_error", absolute_}, {"errors", errors_}};
}

}  // namespace rehyat::evaluate
