#pragma once

#include <ATen/core/Tensor.h>

namespace rehyat {

/// The type in which sums, norms and states are carried on: float64 where the values are float64, else float32.
inline at::ScalarType wide_type(at::ScalarType type) {
  return type == at::kDouble ? at::kDouble : at::kFloat;
}
inline at::ScalarType wide_type(const at::Tensor& x) {
  return wide_type(x.scalar_type());
}

/// The values in that type.
inline at::Tensor wide(const at::Tensor& x) {
  return x.to(wide_type(x));
}

}  // namespace rehyat
