#pragma once

#include <ATen/ATen.h>

/// Steps of a convolutional network that go over the channels of each pixel of a video. Features are [B,C,T,H,W]. On a
/// GPU each is one kernel that reads its input once, for features whose channels lie densely (channels_last_3d); for
/// others and elsewhere they are composed of libtorch's operators. No gradients are recorded.
namespace rehyat::ops {

/// Whether the kernels serve these features: on a GPU in float32, bfloat16 or float16, channels dense, a multiple of
/// 16 bytes and at most 2 KiB of them. Frames and samples may lie apart.
bool has_fused_channels(const at::Tensor& x);

/// y = n / max(|n|, 1e-12) * sqrt(C) * gamma with n = x + bias and |n| over the channels, then silu of it where asked
/// for; float32 inside at least, y [B,C,T,H,W] is written in x's type and may be a part of a larger tensor. `bias` [C]
/// may be undefined; gamma has C values in any shape.
void channel_norm(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& gamma, bool silu, const at::Tensor& y);

/// The same for a convolution over several frames that is done as one in two dimensions, with the frames it sees as
/// channels: stack [B,T,H,W,n,C], contiguous, gets frame t of y as part j of its frame t + n - 1 - j, where it has that
/// frame. What belongs to frames before the first of x is left as it is.
void stacked_channel_norm(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& gamma, bool silu,
                          const at::Tensor& stack);

/// x + update + bias in x's type, float32 inside at least; `update` is overwritten with it. `bias` [C] may be
/// undefined.
at::Tensor biased_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& bias);

/// Each pixel of x [B,k*C,T,H,W] as 2 x 2 equal ones, and each frame as k frames, the j-th of channels j*C ... (j+1)*C:
/// [B,C,k*T,2H,2W]. `bias` [k*C], added first, may be undefined.
at::Tensor doubled_frames(const at::Tensor& x, const at::Tensor& bias, std::int64_t k);

}  // namespace rehyat::ops
