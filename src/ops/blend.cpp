#include "ops/blend.h"

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::ops {
namespace {

void require_nonzero(const at::Tensor& z, const char* what) {
  const auto zeros = z.eq(0).sum().item<std::int64_t>();
  require(zeros == 0, [&] {
    return cat("[hybrid_attention] ", what, ": found ", zeros, " of ", z.numel(),
               " rows equal to 0, expected none; use a non-negative feature map or the normalizer joint");
  });
}

}  // namespace

Blended blend(const at::Tensor& o, const at::Tensor& lse, const at::Tensor& a, const at::Tensor& n,
              const at::Tensor& row_max, Normalizer normalizer) {
  const at::Tensor rows = n.unsqueeze(-1);
  if (normalizer == Normalizer::joint) {
    const auto negative = n.lt(0).sum().item<std::int64_t>();
    require(negative == 0, [&] {
      return cat("[hybrid_attention] phi_q.z: found ", negative, " of ", n.numel(),
                 " rows below 0, expected none with the normalizer joint; use a non-negative feature map");
    });
    const at::Tensor log_n = n.log();  // -inf where n = 0: the softmax branch then has weight 1
    const at::Tensor quotient = a / at::where(rows > 0, rows, at::ones_like(rows));
    const at::Tensor y = at::where(
        rows > 0, at::sigmoid(lse - log_n).unsqueeze(-1) * o + at::sigmoid(log_n - lse).unsqueeze(-1) * quotient, o);
    const at::Tensor log_z = at::logaddexp(lse, log_n);
    return {y, log_z, log_z, {}};
  }
  if (normalizer == Normalizer::lse) {
    const at::Tensor z = 1 + n;
    require_nonzero(z, "1 + phi_q.z");
    return {at::where(rows.eq(0), o, (o + a) / z.unsqueeze(-1)), lse, {}, z.reciprocal()};
  }
  const at::Tensor mass = (lse - row_max).exp();
  const at::Tensor z = mass + n;
  require_nonzero(z, "the denominator");
  const at::Tensor y = at::where(rows.eq(0), o, (mass.unsqueeze(-1) * o + a) / z.unsqueeze(-1));
  const at::Tensor log_z = z.abs().log();
  return {y, row_max + log_z, log_z, z.sign()};
}

at::Tensor linear_only(const at::Tensor& a, const at::Tensor& n) {
  require_nonzero(n, "phi_q.z");
  return a / n.unsqueeze(-1);
}

}  // namespace rehyat::ops
