// Numeric contract: float32 inside, one rounding at the end. A pixel's channels are read once, 16 bytes a thread, and
// stay in registers; the threads of a pixel are neighbours in a warp.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include "ops/cuda/channel_kernels.h"

namespace rehyat::ops::cuda {
namespace {

constexpr int kThreads = 256, kWarp = 32;
constexpr float kSmallestNorm = 1e-12F;

template <typename T>
struct Vector {
  static constexpr int kSize = 16 / sizeof(T);
  T values[kSize];
};

__device__ inline float wide(float x) {
  return x;
}
__device__ inline float wide(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
__device__ inline float wide(__half x) {
  return __half2float(x);
}
template <typename T>
__device__ inline T narrow(float x);
template <>
__device__ inline float narrow<float>(float x) {
  return x;
}
template <>
__device__ inline __nv_bfloat16 narrow<__nv_bfloat16>(float x) {
  return __float2bfloat16_rn(x);
}
template <>
__device__ inline __half narrow<__half>(float x) {
  return __float2half_rn(x);
}

template <typename T>
__device__ inline Vector<T> load(const T* place) {
  Vector<T> out;
  *reinterpret_cast<uint4*>(&out) = *reinterpret_cast<const uint4*>(place);
  return out;
}
template <typename T>
__device__ inline void store(T* place, const Vector<T>& values) {
  *reinterpret_cast<uint4*>(place) = *reinterpret_cast<const uint4*>(&values);
}

/// The fast exponential and division err by a few units of float32's last place, far below what half types keep.
template <typename T>
__device__ inline float silu_of(float x) {
  if constexpr (sizeof(T) == 4) return x / (1 + expf(-x));
  return __fdividef(x, 1 + __expf(-x));
}

struct Places {
  long long pixels;
  int channels;
  long long x_stride, y_stride;
};

/// kVectors of 16 bytes a thread, `lanes` threads a pixel (a power of two, at most a warp).
template <typename T, int kVectors>
__global__ void channel_norm(Places p, int lanes, const T* x, const float* bias, const float* gamma, bool silu,
                             NormTarget target) {
  constexpr int kSize = Vector<T>::kSize;
  const long long pixel = (static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x) / lanes;
  const int lane = threadIdx.x % lanes, vectors = p.channels / kSize;
  const bool here = pixel < p.pixels;
  const T* in = x + blockIdx.y * p.x_stride + pixel * p.channels;
  float values[kVectors][kSize];
  float squares = 0;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int place = lane + v * lanes;
    if (!here || place >= vectors) continue;
    const Vector<T> found = load(in + place * kSize);
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      values[v][i] = wide(found.values[i]) + (bias == nullptr ? 0.0F : bias[place * kSize + i]);
      squares += values[v][i] * values[v][i];
    }
  }
  for (int step = lanes / 2; step > 0; step /= 2) squares += __shfl_xor_sync(0xffffffffU, squares, step);
  if (!here) return;
  const float factor = sqrtf(static_cast<float>(p.channels)) / fmaxf(sqrtf(squares), kSmallestNorm);
  T* out = static_cast<T*>(target.y) + blockIdx.y * target.stride + pixel * target.pixel;
#pragma unroll
  for (int v = 0; v < kVectors; ++v) {
    const int place = lane + v * lanes;
    if (place >= vectors) continue;
    Vector<T> result;
#pragma unroll
    for (int i = 0; i < kSize; ++i) {
      const float n = values[v][i] * factor * gamma[place * kSize + i];
      result.values[i] = narrow<T>(silu ? silu_of<T>(n) : n);
    }
    for (int k = 0; k < target.copies; ++k) {
      if (pixel + k * target.frame < p.pixels) store(out + k * target.step + place * kSize, result);
    }
  }
}

template <typename T>
__global__ void biased_sum(Places p, const T* x, const float* bias, T* y) {
  constexpr int kSize = Vector<T>::kSize;
  const int vectors = p.channels / kSize;
  const long long index = static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x;
  if (index >= p.pixels * vectors) return;
  const int first = static_cast<int>(index % vectors) * kSize;
  const Vector<T> a = load(x + blockIdx.y * p.x_stride + index * kSize);
  T* place = y + blockIdx.y * p.y_stride + index * kSize;
  Vector<T> sum = load(static_cast<const T*>(place));
#pragma unroll
  for (int i = 0; i < kSize; ++i) {
    const float added = wide(sum.values[i]) + (bias == nullptr ? 0.0F : bias[first + i]);
    sum.values[i] = narrow<T>(wide(a.values[i]) + added);
  }
  store(place, sum);
}

template <typename T>
__global__ void doubled_frames(Places p, int k, int height, int width, const T* x, const float* bias, T* y) {
  constexpr int kSize = Vector<T>::kSize;
  const int vectors = p.channels / kSize, narrow_vectors = vectors / k;
  const long long index = static_cast<long long>(blockIdx.x) * kThreads + threadIdx.x;
  if (index >= p.pixels * vectors) return;
  const int vector = static_cast<int>(index % vectors);
  const long long pixel = index / vectors, row = pixel / width;
  const int column = static_cast<int>(pixel % width), line = static_cast<int>(row % height);
  const long long frame = row / height * k + vector / narrow_vectors;
  Vector<T> values = load(x + blockIdx.y * p.x_stride + index * kSize);
  if (bias != nullptr) {
#pragma unroll
    for (int i = 0; i < kSize; ++i) values.values[i] = narrow<T>(wide(values.values[i]) + bias[vector * kSize + i]);
  }
  const long long step = static_cast<long long>(narrow_vectors) * kSize;
  T* out = y + blockIdx.y * p.y_stride + ((frame * 2 * height + 2 * line) * 2 * width + 2 * column) * step +
           vector % narrow_vectors * kSize;
  store(out, values);
  store(out + step, values);
  out += 2 * width * step;
  store(out, values);
  store(out + step, values);
}

Places places_of(const Pixels& pixels, std::int64_t x_stride, std::int64_t y_stride) {
  return {pixels.pixels, static_cast<int>(pixels.channels), x_stride, y_stride};
}

dim3 grid_of(std::int64_t threads, std::int64_t samples) {
  return {static_cast<unsigned>((threads + kThreads - 1) / kThreads), static_cast<unsigned>(samples)};
}

const char* started() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

/// Runs `work` with a value of the element's type.
template <typename Work>
void with_type(ChannelType type, Work&& work) {
  if (type == ChannelType::bf16) return work(__nv_bfloat16());
  if (type == ChannelType::f16) return work(__half());
  work(0.0F);
}

}  // namespace

const char* launch_channel_norm(const Pixels& pixels, const void* x, std::int64_t x_stride, const float* bias,
                                const float* gamma, bool silu, const NormTarget& target, void* stream) {
  if (pixels.samples * pixels.pixels == 0) return nullptr;
  with_type(pixels.type, [&](auto example) {
    using T = decltype(example);
    const std::int64_t vectors = pixels.channels / Vector<T>::kSize;
    // As few threads a pixel as leave at most four vectors to each.
    int lanes = 1;
    while (lanes < kWarp && lanes * 4 < vectors) lanes *= 2;
    const auto each = (vectors + lanes - 1) / lanes;
    const dim3 grid = grid_of(pixels.pixels * lanes, pixels.samples);
    const auto launch = [&](auto kernel) {
      kernel<<<grid, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
          places_of(pixels, x_stride, 0), lanes, static_cast<const T*>(x), bias, gamma, silu, target);
    };
    if (each <= 1) return launch(channel_norm<T, 1>);
    if (each == 2) return launch(channel_norm<T, 2>);
    if (each == 3) return launch(channel_norm<T, 3>);
    launch(channel_norm<T, 4>);
  });
  return started();
}

const char* launch_biased_sum(const Pixels& pixels, const void* x, std::int64_t x_stride, const float* bias,
                              void* update, std::int64_t update_stride, void* stream) {
  if (pixels.samples * pixels.pixels == 0) return nullptr;
  with_type(pixels.type, [&](auto example) {
    using T = decltype(example);
    const std::int64_t threads = pixels.pixels * pixels.channels / Vector<T>::kSize;
    biased_sum<T><<<grid_of(threads, pixels.samples), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        places_of(pixels, x_stride, update_stride), static_cast<const T*>(x), bias, static_cast<T*>(update));
  });
  return started();
}

const char* launch_doubled_frames(const Pixels& pixels, const void* x, std::int64_t x_stride, const float* bias,
                                  std::int64_t k, std::int64_t height, std::int64_t width, void* y, void* stream) {
  if (pixels.samples * pixels.pixels == 0) return nullptr;
  with_type(pixels.type, [&](auto example) {
    using T = decltype(example);
    const std::int64_t threads = pixels.pixels * pixels.channels / Vector<T>::kSize;
    doubled_frames<T><<<grid_of(threads, pixels.samples), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        places_of(pixels, x_stride, 4 * pixels.pixels * pixels.channels), static_cast<int>(k), static_cast<int>(height),
        static_cast<int>(width), static_cast<const T*>(x), bias, static_cast<T*>(y));
  });
  return started();
}

}  // namespace rehyat::ops::cuda
