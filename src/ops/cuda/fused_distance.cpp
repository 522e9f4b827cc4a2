#include "ops/cuda/fused_distance.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/autograd/custom_function.h>

#include "ops/cuda/distance_kernel.h"

namespace rehyat::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

cuda::DistanceRule distance_rule(Distance distance) {
  if (distance == Distance::l1) return cuda::DistanceRule::l1;
  return distance == Distance::mse ? cuda::DistanceRule::mse : cuda::DistanceRule::huber;
}

void distance_started(const char* problem) {
  TORCH_CHECK(problem == nullptr, "fused distance: the kernel could not be started: ", problem);
}

void* distance_stream() {
  return c10::cuda::getCurrentCUDAStream().stream();
}

class DistanceFunction : public torch::autograd::Function<DistanceFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, const at::Tensor& y, Distance distance,
                            bool differentiated) {
    const c10::cuda::CUDAGuard guard(x.device());
    const at::Tensor parts = at::empty({cuda::distance_blocks(x.numel())}, x.options().dtype(at::kFloat));
    const at::Tensor gradient = differentiated ? at::empty_like(x) : at::Tensor();
    cuda::DistanceArguments args;
    args.values = x.numel();
    args.x = x.const_data_ptr();
    args.y = y.const_data_ptr();
    args.rule = distance_rule(distance);
    args.scale = static_cast<float>(1.0 / static_cast<double>(x.numel()));
    args.parts = parts.data_ptr<float>();
    args.gradient = differentiated ? gradient.data_ptr() : nullptr;
    distance_started(cuda::launch_distance(args, distance_stream()));
    ctx->saved_data["gradient"] = gradient;
    return parts.sum();
  }

  static variable_list backward(AutogradContext* ctx, variable_list upstream) {
    const at::Tensor gradient = ctx->saved_data["gradient"].toTensor();
    ctx->saved_data["gradient"] = at::Tensor();  // it is scaled where it lies
    TORCH_CHECK(gradient.defined(), "fused distance: found a second backward pass, expected one");
    const c10::cuda::CUDAGuard guard(gradient.device());
    const at::Tensor factor = upstream[0].to(at::kFloat);
    distance_started(
        cuda::launch_scale(gradient.data_ptr(), gradient.numel(), factor.const_data_ptr<float>(), distance_stream()));
    return {gradient, Variable(), Variable(), Variable()};
  }
};

}  // namespace

bool has_fused_distance(const at::Tensor& x, const at::Tensor& y) {
  const auto serves = [](const at::Tensor& t) {
    return t.is_cuda() && t.scalar_type() == at::kBFloat16 && t.is_contiguous() && t.storage_offset() % 8 == 0;
  };
  return serves(x) && serves(y) && x.sizes() == y.sizes() && x.numel() > 0 && x.numel() % 8 == 0;
}

at::Tensor fused_distance(const at::Tensor& x, const at::Tensor& y, Distance distance) {
  return DistanceFunction::apply(x, y.detach(), distance, at::GradMode::is_enabled() && x.requires_grad());
}

}  // namespace rehyat::ops
