#include "ops/cuda/fused_feed_forward.h"

#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/cuda/row_tensors.h"

namespace rehyat::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

at::Tensor flat(const at::Tensor& x) {
  return x.reshape({-1, x.size(-1)});
}

at::Tensor unflat(const at::Tensor& rows, const at::Tensor& like) {
  std::vector<std::int64_t> sizes = like.sizes().vec();
  sizes.back() = rows.size(1);
  return rows.view(sizes);
}

/// Inputs: x, the weight and bias of both products. Saved: x, the first product before GELU, both weights.
class FeedForwardFunction : public torch::autograd::Function<FeedForwardFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& w1, const at::Tensor& b1,
                            const at::Tensor& w2, const at::Tensor& b2) {
    const c10::cuda::CUDAGuard guard(x.device());
    const at::Tensor before = at::addmm(b1, flat(x), w1.t());
    at::Tensor inner = at::empty_like(before);
    row_started(cuda::launch_gelu(before.size(0), before.size(1), row_type(x.scalar_type()), before.const_data_ptr(),
                                  inner.data_ptr(), row_stream()),
                "gelu");
    ctx->save_for_backward({x, before, w1, w2});
    return unflat(at::addmm(b2, inner, w2.t()), x);
  }

  static variable_list backward(AutogradContext* ctx, variable_list upstream) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &before = saved[1], &w1 = saved[2], &w2 = saved[3];
    const c10::cuda::CUDAGuard guard(x.device());
    variable_list grads(5);
    const at::Tensor dy = flat(upstream[0]);
    if (ctx->needs_input_grad(4)) grads[4] = dy.sum(0);
    at::Tensor d = at::mm(dy, w2);  // of the inner width; becomes the gradient before GELU where it lies
    const std::int64_t rows = d.size(0), width = d.size(1);
    at::Tensor inner, parts;
    if (ctx->needs_input_grad(3)) inner = at::empty_like(d);
    if (ctx->needs_input_grad(2))
      parts = at::empty({cuda::gelu_parts(rows, width), width}, d.options().dtype(at::kFloat));
    row_started(
        cuda::launch_gelu_backward(rows, width, row_type(d.scalar_type()), before.const_data_ptr(), d.const_data_ptr(),
                                   d.data_ptr(), inner.defined() ? inner.data_ptr() : nullptr,
                                   parts.defined() ? parts.data_ptr<float>() : nullptr, row_stream()),
        "gelu, backward");
    if (inner.defined()) {
      grads[3] = at::mm(dy.t(), inner);
      inner.reset();
    }
    if (parts.defined()) grads[2] = parts.sum(0).to(d.scalar_type());
    if (ctx->needs_input_grad(1)) grads[1] = at::mm(d.t(), flat(x));
    if (ctx->needs_input_grad(0)) grads[0] = at::mm(d, w1).view(x.sizes());
    return grads;
  }
};

}  // namespace

bool has_fused_feed_forward(const at::Tensor& x, const LinearWeights& in) {
  return x.is_cuda() && is_row_type(x.scalar_type()) && x.numel() > 0 && in.weight.size(0) % 8 == 0;
}

at::Tensor fused_feed_forward(const at::Tensor& x, const LinearWeights& in, const LinearWeights& out) {
  const auto wants = [](const at::Tensor& t) { return t.requires_grad(); };
  if (at::GradMode::is_enabled() &&
      (wants(x) || wants(in.weight) || wants(in.bias) || wants(out.weight) || wants(out.bias)))
    return FeedForwardFunction::apply(x, in.weight, in.bias, out.weight, out.bias);
  // Bias and GELU (the tanh form on GPUs) in the product's epilogue.
  const at::Tensor inner = at::_addmm_activation(in.bias, flat(x), in.weight.t(), 1, 1, /*use_gelu=*/true);
  return unflat(at::addmm(out.bias, inner, out.weight.t()), x);
}

}  // namespace rehyat::ops
