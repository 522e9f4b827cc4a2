#include "ops/cuda/fused_blend.h"

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "core/error.h"
#include "core/strings.h"
#include "ops/cuda/blend_kernel.h"

namespace rehyat::ops {
namespace {

cuda::Element element_of(const at::Tensor& o) {
  if (o.scalar_type() == at::kBFloat16) return cuda::Element::bf16;
  return o.scalar_type() == at::kHalf ? cuda::Element::f16 : cuda::Element::f32;
}

cuda::BlendRule rule_of(Normalizer normalizer) {
  if (normalizer == Normalizer::joint) return cuda::BlendRule::joint;
  return normalizer == Normalizer::row_max ? cuda::BlendRule::row_max : cuda::BlendRule::lse;
}

cuda::RowLayout layout_of(const at::Tensor& x) {
  TORCH_CHECK(x.stride(3) == 1 || x.size(3) == 1, "fused_blend: found strides ", x.strides(), ", expected dense rows");
  return {x.stride(0), x.stride(1), x.stride(2)};
}

/// Elements between two (batch, head) pairs of x [B,A,M], whose other dimensions must lie densely.
std::int64_t outer_stride(const at::Tensor& x) {
  const bool dense = (x.size(0) == 1 || x.stride(0) == x.size(1) * x.stride(1)) && x[0][0].is_contiguous();
  TORCH_CHECK(dense, "fused_blend: found strides ", x.strides(), ", expected rows of a contiguous tensor");
  return x.stride(1);
}

float* values(const at::Tensor& x) {
  return x.defined() ? x.data_ptr<float>() : nullptr;
}

}  // namespace

bool has_fused_blend(const at::Tensor& o) {
  return o.is_cuda() && o.scalar_type() != at::kDouble;
}

void fused_blend(const at::Tensor& o, const at::Tensor& lse, const at::Tensor& sums, const at::Tensor& row_max,
                 Normalizer normalizer, const BlendTargets& out, const at::Tensor& bad_rows) {
  const c10::cuda::CUDAGuard guard(o.device());
  const at::Tensor dense = sums.contiguous();
  cuda::BlendArguments args;
  args.samples = o.size(0);
  args.heads = o.size(1);
  args.rows = o.size(2);
  args.width = o.size(3);
  args.element = element_of(o);
  args.rule = rule_of(normalizer);
  args.o = o.const_data_ptr();
  args.y = out.y.data_ptr();
  args.o_layout = layout_of(o);
  args.y_layout = layout_of(out.y);
  args.sums = dense.const_data_ptr<float>();
  args.columns = dense.size(3);
  args.lse = values(lse);
  args.row_max = values(row_max);
  args.log_l = values(out.log_l);
  args.log_z = normalizer == Normalizer::row_max ? values(out.log_z) : nullptr;
  args.scale = normalizer == Normalizer::joint ? nullptr : values(out.scale);
  args.value_stride = outer_stride(lse);
  args.bad_rows = bad_rows.data_ptr<std::int32_t>();
  TORCH_CHECK(outer_stride(out.log_l) == args.value_stride,
              "fused_blend: found results that are laid out unlike the inputs");
  const char* problem = cuda::launch_blend(args, c10::cuda::getCurrentCUDAStream().stream());
  TORCH_CHECK(problem == nullptr, "fused_blend: the kernel could not be started: ", problem);
}

}  // namespace rehyat::ops
