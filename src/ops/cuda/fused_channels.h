#pragma once

#include <ATen/ATen.h>

/// The kernels behind channel_ops.h; a stub where the build has no CUDA.
namespace rehyat::ops {

/// Whether the kernels are built and serve these features; see has_fused_channels.
bool serves_channels(const at::Tensor& x);

void fused_channel_norm(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& gamma, bool silu,
                        const at::Tensor& y);
void fused_stacked_norm(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& gamma, bool silu,
                        const at::Tensor& stack);
void fused_biased_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& bias);
at::Tensor fused_doubled_frames(const at::Tensor& x, const at::Tensor& bias, std::int64_t k);

}  // namespace rehyat::ops
