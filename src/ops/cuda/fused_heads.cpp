#include <c10/cuda/CUDAGuard.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/cuda/fused_rows.h"
#include "ops/cuda/row_tensors.h"

namespace rehyat::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::variable_list;

struct HeadSettings {
  double eps = 0;
  std::int64_t heads = 1;
  RopeTables rope;  ///< undefined tensors: no rotation
  int ways = 1;
};

struct HeadRun {
  at::Tensor x, weight;   // as the kernel reads them
  at::Tensor y, factors;  // [B,A,N,D], [B,N]
};

cuda::HeadLayout rows_of(const at::Tensor& x) {
  return {x.stride(0), 0, x.stride(1)};
}

cuda::HeadLayout heads_of(const at::Tensor& x) {
  return {x.stride(0), x.stride(1), x.stride(2)};
}

const float* table(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr<float>() : nullptr;
}

void run_heads(HeadRun& run, const HeadSettings& settings, bool keeps) {
  const c10::cuda::CUDAGuard guard(run.x.device());
  const std::int64_t samples = run.x.size(0), tokens = run.x.size(1), width = run.x.size(2),
                     head_width = width / settings.heads;
  run.y = at::empty_strided({samples, settings.heads, tokens, head_width}, {tokens * width, head_width, width, 1},
                            run.x.options());
  cuda::HeadNormArguments args;
  args.shape = {samples, tokens, width};
  args.type = row_type(run.x.scalar_type());
  args.head_width = head_width;
  args.x = run.x.const_data_ptr();
  args.x_layout = rows_of(run.x);
  args.weight = run.weight.const_data_ptr<float>();
  args.cos = table(settings.rope.cos);
  args.sin = table(settings.rope.sin);
  args.eps = static_cast<float>(settings.eps);
  args.y = run.y.data_ptr();
  if (keeps) {
    run.factors = at::empty({samples, tokens}, run.x.options().dtype(at::kFloat));
    args.factor = run.factors.data_ptr<float>();
  }
  row_started(cuda::launch_head_norm(args, row_stream()), "norm of heads");
}

/// Inputs: x [B,N,C], weight [C] in float32. Results: y, once or twice.
class HeadNormFunction : public torch::autograd::Function<HeadNormFunction> {
 public:
  static variable_list forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& weight,
                               const HeadSettings& settings) {
    HeadRun run{readable_rows(x), readable_rows(weight), {}, {}};
    run_heads(run, settings, true);
    ctx->save_for_backward({run.x, run.weight, run.factors, settings.rope.cos, settings.rope.sin});
    ctx->set_materialize_grads(false);
    ctx->saved_data["heads"] = settings.heads;
    variable_list results = {run.y};
    if (settings.ways == 2) results.push_back(run.y.variable_data());
    return results;
  }

  static variable_list backward(AutogradContext* ctx, variable_list upstream) {
    variable_list given, grads(3);  // the last is of the settings
    for (const at::Tensor& dy : upstream) {
      if (dy.defined()) given.push_back(readable_rows(dy));
    }
    if (given.empty()) return grads;
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor &x = saved[0], &weight = saved[1];
    const c10::cuda::CUDAGuard guard(x.device());
    cuda::HeadNormGradients args;
    args.shape = {x.size(0), x.size(1), x.size(2)};
    args.type = row_type(x.scalar_type());
    args.head_width = x.size(2) / ctx->saved_data["heads"].toInt();
    args.x = x.const_data_ptr();
    args.x_layout = rows_of(x);
    args.weight = weight.const_data_ptr<float>();
    args.factor = saved[2].const_data_ptr<float>();
    args.cos = table(saved[3]);
    args.sin = table(saved[4]);
    args.dy = given[0].const_data_ptr();
    args.dy_layout = heads_of(given[0]);
    if (given.size() == 2) {
      args.more_dy = given[1].const_data_ptr();
      args.more_layout = heads_of(given[1]);
    }
    if (ctx->needs_input_grad(0)) {
      grads[0] = at::empty(x.sizes(), x.options());
      args.dx = grads[0].data_ptr();
    }
    at::Tensor parts;
    if (ctx->needs_input_grad(1)) {
      parts = at::empty({x.size(0) * cuda::row_parts(args.shape), x.size(2)}, weight.options());
      args.dweight = parts.data_ptr<float>();
    }
    row_started(cuda::launch_head_norm_backward(args, row_stream()), "norm of heads, backward");
    if (parts.defined()) grads[1] = parts.sum(0);
    return grads;
  }
};

}  // namespace

bool has_fused_heads(const at::Tensor& x, std::int64_t heads, const RopeTables* rope) {
  return x.is_cuda() && is_row_type(x.scalar_type()) && x.dim() == 3 && x.numel() > 0 &&
         cuda::serves_row_width(x.size(2)) && x.size(2) / heads % 8 == 0 &&
         (rope == nullptr || rope->cos.scalar_type() == at::kFloat);
}

HeadsTwice fused_norm_heads(const at::Tensor& x, const at::Tensor& weight, double eps, std::int64_t heads,
                            const RopeTables* rope, int ways) {
  HeadSettings settings{eps, heads, {}, ways};
  if (rope != nullptr) {
    TORCH_CHECK(rope->cos.size(0) == x.size(1) && 2 * rope->cos.size(1) * heads == x.size(2),
                "norm of heads: found tables ", rope->cos.sizes(), " for tokens ", x.sizes(), " in ", heads, " heads");
    settings.rope = {rope->cos.contiguous(), rope->sin.contiguous()};
  }
  const at::Tensor wide = weight.to(at::kFloat);
  if (!at::GradMode::is_enabled() || !(x.requires_grad() || wide.requires_grad())) {
    HeadRun run{readable_rows(x), readable_rows(wide), {}, {}};
    run_heads(run, settings, false);
    return {run.y, run.y};
  }
  const variable_list results = HeadNormFunction::apply(x, wide, settings);
  return {results.front(), results.back()};
}

}  // namespace rehyat::ops
