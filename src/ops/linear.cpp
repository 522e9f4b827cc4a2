#include "ops/linear.h"

#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "ops/cuda/fused_feed_forward.h"

namespace rehyat::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor as_rows(const at::Tensor& x) {
  return x.reshape({-1, x.size(-1)});
}

/// Inputs: x, then all weights, then all biases.
class LinearEachFunction : public torch::autograd::Function<LinearEachFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, at::TensorList parameters) {
    const std::size_t count = parameters.size() / 2;
    variable_list results, saved = {x};
    for (std::size_t i = 0; i < count; ++i) {
      results.push_back(at::linear(x, parameters[i], parameters[count + i]));
      saved.push_back(parameters[i]);
    }
    ctx->save_for_backward(saved);
    ctx->set_materialize_grads(false);
    return results;
  }

  static variable_list backward(AutogradContext* ctx, variable_list upstream) {
    const variable_list saved = ctx->get_saved_variables();
    const std::size_t count = upstream.size();
    const at::Tensor rows = as_rows(saved[0]);
    variable_list grads(1 + 2 * count);
    at::Tensor dx;
    for (std::size_t i = 0; i < count; ++i) {
      if (!upstream[i].defined()) continue;
      const at::Tensor dy = as_rows(upstream[i]);
      if (ctx->needs_input_grad(1 + i)) grads[1 + i] = at::mm(dy.t(), rows);
      if (ctx->needs_input_grad(1 + count + i)) grads[1 + count + i] = dy.sum(0);
      if (!ctx->needs_input_grad(0)) continue;
      if (dx.defined())
        dx.addmm_(dy, saved[1 + i]);
      else
        dx = at::mm(dy, saved[1 + i]);
    }
    if (dx.defined()) grads[0] = dx.view(saved[0].sizes());
    return grads;
  }
};

bool wants_gradient(const at::Tensor& x) {
  return x.requires_grad();
}

}  // namespace

std::vector<at::Tensor> linear_each(const at::Tensor& x, const std::vector<LinearWeights>& weights) {
  std::vector<at::Tensor> parameters, results;
  for (const LinearWeights& w : weights) parameters.push_back(w.weight);
  for (const LinearWeights& w : weights) parameters.push_back(w.bias);
  if (at::GradMode::is_enabled() &&
      (wants_gradient(x) || std::any_of(parameters.begin(), parameters.end(), wants_gradient)))
    return LinearEachFunction::apply(x, at::TensorList(parameters));
  for (const LinearWeights& w : weights) results.push_back(at::linear(x, w.weight, w.bias));
  return results;
}

at::Tensor feed_forward(const at::Tensor& x, const LinearWeights& in, const LinearWeights& out) {
  if (has_fused_feed_forward(x, in)) return fused_feed_forward(x, in, out);
  at::Tensor inner = at::linear(x, in.weight, in.bias);
  // The widest tensor of a model: a second one only where gradients need both.
  if (at::GradMode::is_enabled())
    inner = at::gelu(inner, "tanh");
  else
    at::gelu_(inner, "tanh");
  return at::linear(inner, out.weight, out.bias);
}

}  // namespace rehyat::ops
