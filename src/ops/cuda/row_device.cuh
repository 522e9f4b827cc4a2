#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "ops/cuda/row_kernels.h"

/// What the kernels of rows share: a block of threads goes down the rows of one sample, a thread keeps its 8 columns.
namespace rehyat::ops::cuda {
namespace {

constexpr int kColumns = 8, kWarp = 32, kMostThreads = 768;

struct Wide {
  float values[kColumns];
};

template <typename T>
struct alignas(16) Sixteen {
  static constexpr int kCount = 16 / sizeof(T);
  T values[kCount];
};

template <typename T>
__device__ inline float to_float(T x) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>) return __bfloat162float(x);
  if constexpr (std::is_same_v<T, __half>) return __half2float(x);
  if constexpr (std::is_same_v<T, float>) return x;
}

template <typename T>
__device__ inline T from_float(float x) {
  if constexpr (std::is_same_v<T, __nv_bfloat16>) return __float2bfloat16(x);
  if constexpr (std::is_same_v<T, __half>) return __float2half(x);
  if constexpr (std::is_same_v<T, float>) return x;
}

template <typename T>
__device__ inline Wide read(const T* x) {
  Wide wide;
#pragma unroll
  for (int part = 0; part < kColumns / Sixteen<T>::kCount; ++part) {
    const Sixteen<T> some = reinterpret_cast<const Sixteen<T>*>(x)[part];
#pragma unroll
    for (int c = 0; c < Sixteen<T>::kCount; ++c)
      wide.values[part * Sixteen<T>::kCount + c] = to_float<T>(some.values[c]);
  }
  return wide;
}

template <typename T>
__device__ inline void write(const Wide& wide, T* y) {
#pragma unroll
  for (int part = 0; part < kColumns / Sixteen<T>::kCount; ++part) {
    Sixteen<T> some;
#pragma unroll
    for (int c = 0; c < Sixteen<T>::kCount; ++c)
      some.values[c] = from_float<T>(wide.values[part * Sixteen<T>::kCount + c]);
    reinterpret_cast<Sixteen<T>*>(y)[part] = some;
  }
}

/// Sums over the block of threads, the same for each thread. One barrier a sum: of the two places that take turns, the
/// one that is written was read before the barrier of the sum in between.
template <int kSums>
class BlockSums {
 public:
  static constexpr int kPlaces = 2 * kSums * (kMostThreads / kWarp);
  __device__ explicit BlockSums(float* places) : places_(places) {}

  __device__ void add(float (&values)[kSums]) {
#pragma unroll
    for (int step = kWarp / 2; step > 0; step /= 2) {
#pragma unroll
      for (int i = 0; i < kSums; ++i) values[i] += __shfl_xor_sync(0xffffffffu, values[i], step);
    }
    const int warps = static_cast<int>(blockDim.x) / kWarp;
    if (warps == 1) return;
    float* mine = places_ + turn_ * kSums * (kMostThreads / kWarp);
    turn_ ^= 1;
    if (threadIdx.x % kWarp == 0) {
#pragma unroll
      for (int i = 0; i < kSums; ++i) mine[kSums * (threadIdx.x / kWarp) + i] = values[i];
    }
    __syncthreads();
#pragma unroll
    for (int i = 0; i < kSums; ++i) values[i] = 0;
    for (int warp = 0; warp < warps; ++warp) {
#pragma unroll
      for (int i = 0; i < kSums; ++i) values[i] += mine[kSums * warp + i];
    }
  }

 private:
  float* places_;
  int turn_ = 0;
};

/// Calls `launch` with a null pointer of the element type, which only carries the type.
template <typename Launch>
const char* for_row_type(RowType type, const Launch& launch) {
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
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

/// One thread for 8 columns, whole warps.
inline unsigned row_threads(const RowShape& shape) {
  return static_cast<unsigned>((shape.width / kColumns + kWarp - 1) / kWarp * kWarp);
}

inline dim3 row_grid(const RowShape& shape) {
  return {static_cast<unsigned>(row_parts(shape)), static_cast<unsigned>(shape.samples), 1};
}

}  // namespace
}  // namespace rehyat::ops::cuda
