#pragma once

#include <cstdint>

/// The steps of ops/channel_ops.h as CUDA kernels. Knows no libtorch, so that nvcc never sees its headers.
namespace rehyat::ops::cuda {

enum class ChannelType { f32, bf16, f16 };

/// Pixels of `channels` dense values each: pixel p of sample s begins at s * stride + p * channels. Channels and
/// strides are multiples of 16 bytes, and so are addresses.
struct Pixels {
  std::int64_t samples = 0, pixels = 0, channels = 0;
  ChannelType type = ChannelType::bf16;
};

/// Where channel_norm writes: pixel p of sample s begins at s * stride + p * pixel. With more than one copy the k-th is
/// written for the pixel k * frame further on, `step` elements after the (k-1)-th, where the sample has that pixel.
struct NormTarget {
  void* y = nullptr;
  std::int64_t stride = 0, pixel = 0;
  int copies = 1;
  std::int64_t step = 0, frame = 0;
};

/// The most channels of 16 bytes that channel_norm keeps of a pixel.
constexpr std::int64_t kMostChannelVectors = 128;

/// All return nullptr, or CUDA's message where the kernel could not be started; `stream` is a cudaStream_t. `bias` may
/// be null.
const char* launch_channel_norm(const Pixels& pixels, const void* x, std::int64_t x_stride, const float* bias,
                                const float* gamma, bool silu, const NormTarget& target, void* stream);
/// update += x + bias.
const char* launch_biased_sum(const Pixels& pixels, const void* x, std::int64_t x_stride, const float* bias,
                              void* update, std::int64_t update_stride, void* stream);
/// x [samples,frames,height,width,k*C] -> y [samples,k*frames,2*height,2*width,C], y dense; pixels.channels is k*C.
const char* launch_doubled_frames(const Pixels& pixels, const void* x, std::int64_t x_stride, const float* bias,
                                  std::int64_t k, std::int64_t height, std::int64_t width, void* y, void* stream);

}  // namespace rehyat::ops::cuda
