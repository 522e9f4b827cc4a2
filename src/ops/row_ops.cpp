#include "ops/row_ops.h"

#include "ops/cuda/fused_rows.h"

namespace rehyat::ops {
namespace {

at::Tensor composed_norm(const at::Tensor& x, const RowNorm& norm) {
  const at::Tensor y = norm.modulated
                           ? at::layer_norm(x, {x.size(-1)}, {}, {}, norm.eps) * (1 + norm.scale) + norm.shift
                           : at::layer_norm(x, {x.size(-1)}, norm.scale, norm.shift, norm.eps);
  return y.to(norm.type);
}

at::Tensor composed_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate) {
  const at::Tensor wide = update.to(x.scalar_type());
  return gate.defined() ? x + wide * gate : x + wide;
}

at::Tensor composed_heads(const at::Tensor& x, const at::Tensor& weight, double eps, std::int64_t heads,
                          const RopeTables* rope) {
  const at::Tensor wide = x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
  const at::Tensor normed =
      (wide * at::rsqrt(wide.square().mean(-1, true) + eps) * weight.to(wide.scalar_type())).to(x.scalar_type());
  const at::Tensor split = normed.unflatten(-1, {heads, -1}).transpose(1, 2);
  return rope == nullptr ? split : apply_rope(split, *rope);
}

}  // namespace

NormedStream norm_stream(const at::Tensor& x, const RowNorm& norm) {
  if (has_fused_stream(x, {}, norm.type)) return fused_norm_stream(x, norm);
  return {x, composed_norm(x, norm)};
}

NormedStream add_and_norm(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate, const RowNorm& norm) {
  if (has_fused_stream(x, update, norm.type)) return fused_add_and_norm(x, update, gate, norm);
  const at::Tensor y = gated_sum(x, update, gate);
  return {y, norm_stream(y, norm).normed};
}

at::Tensor gated_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& gate) {
  if (has_fused_stream(x, update, update.scalar_type())) return fused_gated_sum(x, update, gate);
  return composed_sum(x, update, gate);
}

at::Tensor rms_norm_heads(const at::Tensor& x, const at::Tensor& weight, double eps, std::int64_t heads,
                          const RopeTables* rope) {
  if (has_fused_heads(x, heads, rope)) return fused_norm_heads(x, weight, eps, heads, rope, 1).first;
  return composed_heads(x, weight, eps, heads, rope);
}

HeadsTwice rms_norm_heads_twice(const at::Tensor& x, const at::Tensor& weight, double eps, std::int64_t heads,
                                const RopeTables* rope) {
  if (has_fused_heads(x, heads, rope)) return fused_norm_heads(x, weight, eps, heads, rope, 2);
  const at::Tensor y = composed_heads(x, weight, eps, heads, rope);
  return {y, y};
}

}  // namespace rehyat::ops
