#pragma once

#include <ATen/ATen.h>

#include <string>

namespace rehyat::models {

/// Throws UserError, with `where` in front, unless apply_activation knows the name.
void require_activation(const std::string& name, const std::string& where);

/// An activation by its name in transformers' ACT2FN, elementwise in x's type.
at::Tensor apply_activation(const std::string& name, const at::Tensor& x);

}  // namespace rehyat::models
