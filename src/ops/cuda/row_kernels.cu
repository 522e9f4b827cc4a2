// Numeric contract: float32 inside, one rounding at the end. One block a row; the row's second and third reading come
// from the first-level cache, so that memory sees it once.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <type_traits>

#include "ops/cuda/row_kernels.h"

namespace rehyat::ops::cuda {
namespace {

constexpr int kThreads = 256, kWarp = 32;

template <typename T>
struct PairOf;
template <>
struct PairOf<float> {
  using type = float2;
  static __device__ float2 read(float2 x) { return x; }
  static __device__ float2 write(float2 x) { return x; }
};
template <>
struct PairOf<__nv_bfloat16> {
  using type = __nv_bfloat162;
  static __device__ float2 read(__nv_bfloat162 x) { return __bfloat1622float2(x); }
  static __device__ __nv_bfloat162 write(float2 x) { return __float22bfloat162_rn(x); }
};
template <>
struct PairOf<__half> {
  using type = __half2;
  static __device__ float2 read(__half2 x) { return __half22float2(x); }
  static __device__ __half2 write(float2 x) { return __float22half2_rn(x); }
};

__device__ inline float block_sum(float value) {
  __shared__ float parts[kThreads / kWarp];
  for (int step = kWarp / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  __syncthreads();  // the parts of the sum before have been read
  if (threadIdx.x % kWarp == 0) parts[threadIdx.x / kWarp] = value;
  __syncthreads();
  float sum = 0;
  for (int i = 0; i < kThreads / kWarp; ++i) sum += parts[i];
  return sum;
}

template <typename T>
__global__ void modulated_norm(Rows rows, const float* x, const float* scale, const float* shift, std::int64_t stride,
                               float eps, T* y) {
  const std::int64_t row = blockIdx.x, sample = row / rows.rows_per_sample;
  const int quads = static_cast<int>(rows.width / 4);
  const auto* in = reinterpret_cast<const float4*>(x + row * rows.width);
  float sum = 0;
  for (int i = threadIdx.x; i < quads; i += kThreads) {
    const float4 v = in[i];
    sum += v.x + v.y + v.z + v.w;
  }
  const float mean = block_sum(sum) / static_cast<float>(rows.width);
  float squares = 0;
  for (int i = threadIdx.x; i < quads; i += kThreads) {
    const float4 v = in[i];
    const float a = v.x - mean, b = v.y - mean, c = v.z - mean, d = v.w - mean;
    squares += a * a + b * b + c * c + d * d;
  }
  const float factor = rsqrtf(block_sum(squares) / static_cast<float>(rows.width) + eps);
  const auto* scales = reinterpret_cast<const float4*>(scale + sample * stride);
  const auto* shifts = reinterpret_cast<const float4*>(shift + sample * stride);
  auto* out = reinterpret_cast<typename PairOf<T>::type*>(y + row * rows.width);
  for (int i = threadIdx.x; i < quads; i += kThreads) {
    const float4 v = in[i], s = scales[i], t = shifts[i];
    out[2 * i] = PairOf<T>::write({(v.x - mean) * factor * (1 + s.x) + t.x, (v.y - mean) * factor * (1 + s.y) + t.y});
    out[2 * i + 1] =
        PairOf<T>::write({(v.z - mean) * factor * (1 + s.z) + t.z, (v.w - mean) * factor * (1 + s.w) + t.w});
  }
}

template <typename T>
__global__ void gated_sum(Rows rows, const float* x, const T* update, const float* gate, std::int64_t stride,
                          float* y) {
  const std::int64_t row = blockIdx.x, sample = row / rows.rows_per_sample, begin = row * rows.width;
  const int quads = static_cast<int>(rows.width / 4);
  const auto* in = reinterpret_cast<const float4*>(x + begin);
  const auto* add = reinterpret_cast<const typename PairOf<T>::type*>(update + begin);
  const auto* gates = reinterpret_cast<const float4*>(gate + sample * stride);
  auto* out = reinterpret_cast<float4*>(y + begin);
  for (int i = threadIdx.x; i < quads; i += kThreads) {
    const float4 v = in[i], g = gates[i];
    const float2 a = PairOf<T>::read(add[2 * i]), b = PairOf<T>::read(add[2 * i + 1]);
    out[i] = {v.x + a.x * g.x, v.y + a.y * g.y, v.z + b.x * g.z, v.w + b.y * g.w};
  }
}

template <typename T>
__global__ void norm_rope(Rows rows, const T* x, const float* weight, float eps, int half_width, const float* cos,
                          const float* sin, T* y) {
  const std::int64_t row = blockIdx.x, place = row % rows.rows_per_sample;
  const int pairs = static_cast<int>(rows.width / 2);
  const auto* in = reinterpret_cast<const typename PairOf<T>::type*>(x + row * rows.width);
  const auto* weights = reinterpret_cast<const float2*>(weight);
  auto* out = reinterpret_cast<typename PairOf<T>::type*>(y + row * rows.width);
  float squares = 0;
  for (int i = threadIdx.x; i < pairs; i += kThreads) {
    const float2 v = PairOf<T>::read(in[i]);
    squares += v.x * v.x + v.y * v.y;
  }
  const float factor = rsqrtf(block_sum(squares) / static_cast<float>(rows.width) + eps);
  for (int i = threadIdx.x; i < pairs; i += kThreads) {
    float2 v = PairOf<T>::read(in[i]);
    const float2 w = weights[i];
    v = {v.x * factor * w.x, v.y * factor * w.y};
    if (cos != nullptr) {
      const std::int64_t angle = place * half_width + i % half_width;
      const float c = cos[angle], s = sin[angle];
      v = {v.x * c - v.y * s, v.x * s + v.y * c};
    }
    out[i] = PairOf<T>::write(v);
  }
}

const char* message_of(cudaError_t error) {
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

/// Calls `launch` with a null pointer of the element type, which only carries the type.
template <typename Launch>
const char* for_type(RowType type, const Launch& launch) {
  switch (type) {
    case RowType::bf16:
      launch(static_cast<__nv_bfloat16*>(nullptr));
      break;
    case RowType::f16:
      launch(static_cast<__half*>(nullptr));
      break;
    case RowType::f32:
      launch(static_cast<float*>(nullptr));
      break;
  }
  return message_of(cudaGetLastError());
}

}  // namespace

const char* launch_modulated_norm(const Rows& rows, const float* x, const float* scale, const float* shift,
                                  std::int64_t modulation_stride, float eps, RowType type, void* y, void* stream) {
  if (rows.rows == 0) return nullptr;
  return for_type(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    modulated_norm<T><<<static_cast<unsigned>(rows.rows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        rows, x, scale, shift, modulation_stride, eps, static_cast<T*>(y));
  });
}

const char* launch_gated_sum(const Rows& rows, const float* x, const void* update, RowType type, const float* gate,
                             std::int64_t gate_stride, float* y, void* stream) {
  if (rows.rows == 0) return nullptr;
  return for_type(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    gated_sum<T><<<static_cast<unsigned>(rows.rows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        rows, x, static_cast<const T*>(update), gate, gate_stride, y);
  });
}

const char* launch_norm_rope(const Rows& rows, const void* x, RowType type, const float* weight, float eps,
                             std::int64_t head_width, const float* cos, const float* sin, void* y, void* stream) {
  if (rows.rows == 0) return nullptr;
  return for_type(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    norm_rope<T><<<static_cast<unsigned>(rows.rows), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(
        rows, static_cast<const T*>(x), weight, eps, static_cast<int>(head_width / 2), cos, sin, static_cast<T*>(y));
  });
}

}  // namespace rehyat::ops::cuda
