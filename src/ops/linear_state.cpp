#include "ops/linear_state.h"

#include "ops/cuda/fused_branch.h"
#include "ops/cuda/fused_linear.h"

namespace rehyat::ops {

at::Tensor matmul_wide(const at::Tensor& a, const at::Tensor& b) {
  const auto type = a.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const bool halves =
      a.scalar_type() == b.scalar_type() && (a.scalar_type() == at::kBFloat16 || a.scalar_type() == at::kHalf);
  if (a.is_cuda() && halves) {
    // Half operands, float32 result: the accumulator is not rounded.
    auto shape = a.sizes().vec();
    shape.back() = b.size(-1);
    return at::bmm(a.reshape({-1, a.size(-2), a.size(-1)}), b.reshape({-1, b.size(-2), b.size(-1)}), at::kFloat)
        .view(shape);
  }
  return at::matmul(a.to(type), b.to(type));
}

at::Tensor matmul_sums(const at::Tensor& a, const at::Tensor& b) {
  if (a.scalar_type() != at::kHalf) return matmul_wide(a, b.to(a.scalar_type()));
  constexpr std::int64_t top = 15, lowest = -100;  // below 2^lowest the power of two itself would overflow
  if (b.size(-2) == 0) return matmul_wide(a, b.to(a.scalar_type()));
  const at::Tensor exponent =
      std::get<1>(at::frexp(b.abs().amax(-2, true))).clamp_min(lowest);  // largest value below 2^exponent
  const auto power = [&](const at::Tensor& e) { return at::exp2(e.to(b.scalar_type())); };
  return matmul_wide(a, (b * power(top - exponent)).to(at::kHalf)) * power(exponent - top);
}

std::int64_t state_columns(const at::Tensor& v) {
  const std::int64_t columns = v.size(-1) + 1;
  const bool half = v.scalar_type() == at::kBFloat16 || v.scalar_type() == at::kHalf;
  return v.is_cuda() && half ? (columns + 7) / 8 * 8 : columns;
}

at::Tensor with_ones(const at::Tensor& v) {
  const std::int64_t width = v.size(-1);
  if (v.dim() == 4 && has_fused_linear(v)) return fused_columns(v, state_columns(v));
  auto shape = v.sizes().vec();
  shape.back() = state_columns(v);
  at::Tensor columns = at::empty(shape, v.options());
  columns.narrow(-1, 0, width).copy_(v);
  columns.select(-1, width).fill_(1);
  if (shape.back() > width + 1) columns.narrow(-1, width + 1, shape.back() - width - 1).zero_();
  return columns;
}

at::Tensor slice_states(const at::Tensor& phi_k, const at::Tensor& v, std::int64_t slices) {
  if (has_fused_branch(phi_k, v)) return fused_states(phi_k, v, slices);
  const std::int64_t batch = v.size(0), heads = v.size(1), hw = v.size(2) / slices;
  const at::Tensor keys = phi_k.reshape({batch, heads, slices, hw, phi_k.size(3)});
  const at::Tensor values = with_ones(v).view({batch, heads, slices, hw, state_columns(v)});
  return matmul_wide(keys.transpose(-1, -2), values);
}

}  // namespace rehyat::ops
