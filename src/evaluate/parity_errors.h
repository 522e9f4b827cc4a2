#pragma once

#include <ATen/ATen.h>

#include <nlohmann/json.hpp>
#include <string>

namespace rehyat::evaluate {

/// The differences between computed tensors and those of a fixture: relative = the largest difference over the largest
/// reference value (undivided where the reference is all zero), in float64. NaN counts as infinite.
class ParityErrors {
 public:
  /// Throws UserError naming `where` and the tensor when the shapes differ.
  void add(const std::string& where, const std::string& name, const at::Tensor& found, const at::Tensor& expected);
  double max_rel_error() const { return relative_; }
  double max_abs_error() const { return absolute_; }
  /// {"component": ..., "max_rel_error": ..., "max_abs_error": ..., "errors": {tensor: relative}}.
  nlohmann::ordered_json report(const std::string& component) const;

 private:
  double relative_ = 0, absolute_ = 0;
  nlohmann::ordered_json errors_ = nlohmann::ordered_json::object();
};

}  // namespace rehyat::evaluate
