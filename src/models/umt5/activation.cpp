#include "models/umt5/activation.h"

#include <algorithm>
#include <array>
#include <cassert>
#include <cmath>
#include <numbers>
#include <string_view>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::models {
namespace {

struct Activation {
  std::string_view name;
  at::Tensor (*function)(const at::Tensor&);
};

constexpr double kQuickGelu = 1.702;

/// Step by step, as the original rounds it: in bfloat16 the fused kernel is no further from the exact value, but
/// differs.
at::Tensor stepwise_gelu(const at::Tensor& x) {
  return 0.5 * x * (1.0 + at::tanh(std::sqrt(2.0 / std::numbers::pi) * (x + 0.044715 * at::pow(x, 3.0))));
}
at::Tensor fast_gelu(const at::Tensor& x) {
  return 0.5 * x * (1.0 + at::tanh(x * 0.7978845608 * (1.0 + 0.044715 * x * x)));
}
at::Tensor silu(const at::Tensor& x) {
  return at::silu(x);
}

constexpr std::array<Activation, 14> kActivations = {{
    {"gelu", [](const at::Tensor& x) { return at::gelu(x); }},
    {"gelu_10", [](const at::Tensor& x) { return at::gelu(x).clamp(-10, 10); }},
    {"gelu_accurate", stepwise_gelu},
    {"gelu_fast", fast_gelu},
    {"gelu_new", stepwise_gelu},
    {"gelu_pytorch_tanh", [](const at::Tensor& x) { return at::gelu(x, "tanh"); }},
    {"linear", [](const at::Tensor& x) { return x; }},
    {"mish", [](const at::Tensor& x) { return at::mish(x); }},
    {"quick_gelu", [](const at::Tensor& x) { return x * at::sigmoid(kQuickGelu * x); }},
    {"relu", [](const at::Tensor& x) { return at::relu(x); }},
    {"sigmoid", [](const at::Tensor& x) { return at::sigmoid(x); }},
    {"silu", silu},
    {"swish", silu},
    {"tanh", [](const at::Tensor& x) { return at::tanh(x); }},
}};

const Activation* find(std::string_view name) {
  const auto found =
      std::find_if(kActivations.begin(), kActivations.end(), [&](const Activation& a) { return a.name == name; });
  return found == kActivations.end() ? nullptr : &*found;
}

}  // namespace

void require_activation(const std::string& name, const std::string& where) {
  require(find(name) != nullptr, [&] {
    std::vector<std::string> names;
    for (const Activation& activation : kActivations) names.emplace_back(activation.name);
    return cat(where, ": found the activation '", name, "', expected one of ", join(names, ", "));
  });
}

at::Tensor apply_activation(const std::string& name, const at::Tensor& x) {
  const Activation* activation = find(name);
  assert(activation != nullptr);
  return activation->function(x);
}

}  // namespace rehyat::models
