#include "ops/channel_ops.h"

#include <algorithm>
#include <cmath>

#include "ops/cuda/fused_channels.h"
#include "tensor/wide.h"

namespace rehyat::ops {
namespace {

constexpr double kSmallestNorm = 1e-12;

/// [C] or the like as [C,1,1,1] in `type`.
at::Tensor of_channels(const at::Tensor& values, at::ScalarType type) {
  return values.to(type).view({-1, 1, 1, 1});
}

/// x + bias in the type that sums are carried on in.
at::Tensor with_bias(const at::Tensor& x, const at::Tensor& bias) {
  return bias.defined() ? wide(x) + of_channels(bias, wide_type(x)) : x;
}

}  // namespace

bool has_fused_channels(const at::Tensor& x) {
  return serves_channels(x);
}

void channel_norm(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& gamma, bool silu,
                  const at::Tensor& y) {
  if (serves_channels(x) && serves_channels(y)) return fused_channel_norm(x, bias, gamma, silu, y);
  const at::ScalarType type = wide_type(x);
  const at::Tensor n = with_bias(x, bias);
  const at::Tensor norm = at::linalg_vector_norm(n, 2, at::IntArrayRef{1}, true, type).clamp_min_(kSmallestNorm);
  at::Tensor out =
      at::div(n, norm).mul_(std::sqrt(static_cast<double>(x.size(1)))).mul_(of_channels(gamma, type)).to(y.dtype());
  y.copy_(silu ? at::silu_(out) : out);
}

void stacked_channel_norm(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& gamma, bool silu,
                          const at::Tensor& stack) {
  const std::int64_t frames = x.size(2), parts = stack.size(4);
  TORCH_CHECK(stack.dim() == 6 && stack.size(1) == frames && stack.size(5) == x.size(1), "stacked_channel_norm: found ",
              stack.sizes(), " for ", x.sizes(), ", expected [B,T,H,W,n,C]");
  if (serves_channels(x)) return fused_stacked_norm(x, bias, gamma, silu, stack);
  const at::Tensor y = at::empty_like(x);
  channel_norm(x, bias, gamma, silu, y);
  for (std::int64_t later = 0; later < std::min(parts, frames); ++later) {
    const at::Tensor from = y.narrow(2, 0, frames - later).permute({0, 2, 3, 4, 1});
    stack.narrow(1, later, frames - later).select(4, parts - 1 - later).copy_(from);
  }
}

at::Tensor biased_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& bias) {
  if (serves_channels(x) && serves_channels(update)) {
    fused_biased_sum(x, update, bias);
    return update;
  }
  return bias.defined() ? update.copy_(with_bias(update, bias) + x) : update.add_(x);
}

at::Tensor doubled_frames(const at::Tensor& x, const at::Tensor& bias, std::int64_t k) {
  TORCH_CHECK(x.dim() == 5 && x.size(1) % k == 0, "doubled_frames: found ", x.sizes(), ", expected [B,", k,
              "*C,T,H,W]");
  constexpr std::int64_t kVectorBytes = 16;
  const std::int64_t bytes = x.size(1) / k * static_cast<std::int64_t>(x.element_size());
  if (serves_channels(x) && bytes % kVectorBytes == 0) return fused_doubled_frames(x, bias, k);
  // [B,k,C,T,H,W] -> [B,T,k,C,H,W] -> [B*T*k,C,H,W]
  const at::Tensor frames =
      with_bias(x, bias).to(x.dtype()).unflatten(1, {k, -1}).permute({0, 3, 1, 2, 4, 5}).flatten(0, 2);
  // Whole factors: the nearest pixel is the same one for every rule of rounding.
  return at::upsample_nearest2d(frames, {2 * x.size(3), 2 * x.size(4)}).unflatten(0, {x.size(0), -1}).transpose(1, 2);
}

}  // namespace rehyat::ops
