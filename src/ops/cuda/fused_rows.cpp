#include "ops/cuda/fused_rows.h"

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>

#include "ops/cuda/row_kernels.h"

namespace rehyat::ops {
namespace {

cuda::RowType row_type(at::ScalarType type) {
  if (type == at::kBFloat16) return cuda::RowType::bf16;
  return type == at::kHalf ? cuda::RowType::f16 : cuda::RowType::f32;
}

cuda::Rows rows_of(const at::Tensor& x) {
  return {x.size(0) * x.size(1), x.size(1), x.size(2)};
}

void* stream() {
  return c10::cuda::getCurrentCUDAStream().stream();
}

void check(const char* problem, const char* what) {
  TORCH_CHECK(problem == nullptr, what, ": the kernel could not be started: ", problem);
}

/// [B or 1, 1, C] in float32, dense within a sample, samples at multiples of 16 bytes.
at::Tensor modulation(const at::Tensor& x) {
  const at::Tensor wide = x.to(at::kFloat);
  return wide.stride(-1) == 1 && wide.stride(0) % 4 == 0 ? wide : wide.contiguous();
}

/// Numbers between two samples; 0 where all share one.
std::int64_t sample_stride(const at::Tensor& x) {
  return x.size(0) == 1 ? 0 : x.stride(0);
}

}  // namespace

bool has_fused_rows(std::initializer_list<at::Tensor> tensors) {
  return std::all_of(tensors.begin(), tensors.end(), [](const at::Tensor& x) {
    // Rows are read as vectors of four, so they have to start at multiples of 16 bytes.
    return x.is_cuda() && x.scalar_type() != at::kDouble && x.size(-1) % 8 == 0 && x.storage_offset() % 8 == 0 &&
           !(at::GradMode::is_enabled() && x.requires_grad());
  });
}

at::Tensor fused_modulated_norm(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& shift, double eps,
                                at::ScalarType type) {
  const c10::cuda::CUDAGuard guard(x.device());
  const at::Tensor in = x.contiguous(), s = modulation(scale), t = modulation(shift);
  TORCH_CHECK(sample_stride(s) == sample_stride(t), "modulated_norm: found scale and shift of different layouts");
  at::Tensor y = at::empty(in.sizes(), in.options().dtype(type));
  check(cuda::launch_modulated_norm(rows_of(in), in.const_data_ptr<float>(), s.const_data_ptr<float>(),
                                    t.const_data_ptr<float>(), sample_stride(s), static_cast<float>(eps),
                                    row_type(type), y.data_ptr(), stream()),
        "modulated_norm");
  return y;
}

at::Tensor fused_gated_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate) {
  const c10::cuda::CUDAGuard guard(x.device());
  const at::Tensor in = x.contiguous(), add = update.contiguous(), g = modulation(gate);
  at::Tensor y = at::empty_like(in);
  check(
      cuda::launch_gated_sum(rows_of(in), in.const_data_ptr<float>(), add.const_data_ptr(), row_type(add.scalar_type()),
                             g.const_data_ptr<float>(), sample_stride(g), y.data_ptr<float>(), stream()),
      "gated_sum");
  return y;
}

at::Tensor fused_norm_rope(const at::Tensor& x, const at::Tensor& weight, double eps, std::int64_t heads,
                           const RopeTables* rope) {
  const c10::cuda::CUDAGuard guard(x.device());
  const at::Tensor in = x.contiguous(), w = weight.to(at::kFloat).contiguous();
  const std::int64_t width = in.size(2) / heads;
  TORCH_CHECK(rope == nullptr || (rope->cos.size(0) == in.size(1) && 2 * rope->cos.size(1) == width),
              "norm_rope: found tables ", rope == nullptr ? at::IntArrayRef() : rope->cos.sizes(), " for tokens ",
              in.sizes(), " in ", heads, " heads");
  at::Tensor y = at::empty_like(in);
  check(cuda::launch_norm_rope(
            rows_of(in), in.const_data_ptr(), row_type(in.scalar_type()), w.const_data_ptr<float>(),
            static_cast<float>(eps), width, rope == nullptr ? nullptr : rope->cos.contiguous().const_data_ptr<float>(),
            rope == nullptr ? nullptr : rope->sin.contiguous().const_data_ptr<float>(), y.data_ptr(), stream()),
        "norm_rope");
  return y.unflatten(-1, {heads, width}).transpose(1, 2);
}

}  // namespace rehyat::ops
