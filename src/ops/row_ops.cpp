#include "ops/row_ops.h"

#include "ops/cuda/fused_rows.h"

namespace rehyat::ops {

at::Tensor modulated_layer_norm(const at::Tensor& x, const at::Tensor& scale, const at::Tensor& shift, double eps,
                                at::ScalarType type) {
  if (has_fused_rows({x, scale, shift}) && x.scalar_type() == at::kFloat)
    return fused_modulated_norm(x, scale, shift, eps, type);
  return (at::layer_norm(x, {x.size(-1)}, {}, {}, eps) * (1 + scale) + shift).to(type);
}

at::Tensor gated_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate) {
  if (has_fused_rows({x, update, gate}) && x.scalar_type() == at::kFloat) return fused_gated_sum(x, update, gate);
  return x + update.to(x.scalar_type()) * gate;
}

at::Tensor rms_norm_heads(const at::Tensor& x, const at::Tensor& weight, double eps, std::int64_t heads,
                          const RopeTables* rope) {
  const bool narrow_tables = rope == nullptr || rope->cos.scalar_type() == at::kFloat;
  if (has_fused_rows({x, weight}) && narrow_tables) return fused_norm_rope(x, weight, eps, heads, rope);
  const at::Tensor wide = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  const at::Tensor normed =
      (wide * at::rsqrt(wide.square().mean(-1, true) + eps) * weight.to(wide.scalar_type())).to(x.scalar_type());
  const at::Tensor split = normed.unflatten(-1, {heads, -1}).transpose(1, 2);
  return rope == nullptr ? split : apply_rope(split, *rope);
}

}  // namespace rehyat::ops
