#include "ops/blend.h"

#include "core/error.h"
#include "core/strings.h"
#include "ops/cuda/fused_blend.h"

namespace rehyat::ops {
namespace {

void require_linear_rows(std::int64_t zeros, std::int64_t rows) {
  require(zeros == 0, [&] {
    return cat("[hybrid_attention] phi_q.z: found ", zeros, " of ", rows,
               " rows equal to 0, expected none in linear attention, which has no other branch; use a positive "
               "feature map");
  });
}

void blend_joint(const BlendTargets& out, const at::Tensor& o, const at::Tensor& lse, const at::Tensor& a,
                 const at::Tensor& n) {
  const at::Tensor rows = n.unsqueeze(-1), empty = rows.eq(0);
  const at::Tensor log_n = n.log();  // -inf where n = 0: the softmax branch then has weight 1
  // sigmoid(gap) (a / n), never (sigmoid(gap) / n) a, which overflows where n is denormal. NaN stays NaN.
  const at::Tensor quotient = a / rows.masked_fill(empty, 1);
  out.y.copy_(at::where(
      empty, o, at::sigmoid(lse - log_n).unsqueeze(-1) * o + at::sigmoid(log_n - lse).unsqueeze(-1) * quotient));
  out.log_l.copy_(at::logaddexp(lse, log_n));
}

void blend_lse(const BlendTargets& out, const at::Tensor& o, const at::Tensor& lse, const at::Tensor& a,
               const at::Tensor& n, BadRows& bad) {
  const at::Tensor z = 1 + n;
  bad.add(z.eq(0));
  out.y.copy_(at::where(n.unsqueeze(-1).eq(0), o, (o + a) / z.unsqueeze(-1)));
  out.log_l.copy_(lse);
  out.scale.copy_(z.reciprocal());
}

void blend_row_max(const BlendTargets& out, const at::Tensor& o, const at::Tensor& lse, const at::Tensor& a,
                   const at::Tensor& n, const at::Tensor& c, BadRows& bad) {
  const at::Tensor mass = (lse - c).exp(), z = mass + n;
  bad.add(z.eq(0));
  out.y.copy_(at::where(n.unsqueeze(-1).eq(0), o, (mass.unsqueeze(-1) * o + a) / z.unsqueeze(-1)));
  const at::Tensor log_z = z.abs().log();
  out.log_l.copy_(c + log_z);
  out.log_z.copy_(log_z);
  if (out.scale.defined()) out.scale.copy_(z.sign());
}

}  // namespace

BadRows::BadRows(const at::Tensor& like, std::optional<Normalizer> normalizer)
    : normalizer_(normalizer), rows_(like.numel()), count_(at::zeros({}, like.options().dtype(at::kInt))) {}

void BadRows::add(const at::Tensor& rows) {
  count_ += rows.sum();
}

void BadRows::check() const {
  const auto count = count_.item<std::int32_t>();
  if (!normalizer_) require_linear_rows(count, rows_);
  require(count == 0 || normalizer_ != Normalizer::joint, [&] {
    return cat("[hybrid_attention] phi_q.z: found ", count,
               " rows below 0, expected none with the normalizer joint; use a non-negative feature map");
  });
  require(count == 0, [&] {
    return cat("[hybrid_attention] ", normalizer_ == Normalizer::lse ? "1 + phi_q.z" : "the denominator", ": found ",
               count, " rows equal to 0, expected none; use a non-negative feature map or the normalizer joint");
  });
}

void blend_into(const BlendTargets& out, const at::Tensor& o, const at::Tensor& lse, const at::Tensor& sums,
                const at::Tensor& row_max, Normalizer normalizer, BadRows& bad) {
  if (has_fused_blend(o)) {
    fused_blend(o, lse, sums, row_max, normalizer, out, bad.counter());
    return;
  }
  const std::int64_t width = o.size(-1);
  const at::Tensor wide = o.to(sums.scalar_type()), a = sums.narrow(-1, 0, width), n = sums.select(-1, width);
  switch (normalizer) {
    case Normalizer::joint:
      bad.add(n.lt(0));
      blend_joint(out, wide, lse, a, n);
      break;
    case Normalizer::lse:
      blend_lse(out, wide, lse, a, n, bad);
      break;
    case Normalizer::row_max:
      blend_row_max(out, wide, lse, a, n, row_max, bad);
      break;
  }
}

at::Tensor linear_only(const at::Tensor& sums, std::int64_t width) {
  const at::Tensor n = sums.select(-1, width);
  require_linear_rows(n.eq(0).sum().item<std::int64_t>(), n.numel());
  return sums.narrow(-1, 0, width) / n.unsqueeze(-1);
}

}  // namespace rehyat::ops
