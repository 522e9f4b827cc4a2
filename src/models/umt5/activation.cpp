#include "models/umt5/activation.h"

#include <algorithm>
#include <array>
#include <cassert>
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

at::Tensor tanh_gelu(const at::Tensor& x) {
  return at::gelu(x, "tanh");
}
at::Tensor silu(const at::Tensor& x) {
  return at::silu(x);
}

constexpr std::array<Activation, 14> kActivations = {{
    {"gelu", [](const at::Tensor& x) { return at::gelu(x); }},
    {"gelu_10", [](const at::Tensor& x) { return at::gelu(x).clamp(-10, 10); }},
    {"gelu_accurate", tanh_gelu},
    {"gelu_fast", tanh_gelu},
    {"gelu_new", tanh_gelu},
    {"gelu_pytorch_tanh", tanh_gelu},
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
