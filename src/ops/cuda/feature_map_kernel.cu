// A block of threads has rows of one group and goes down them; a thread keeps its 8 columns, so that the biases stay in
// registers and a column's gradients add up there. Memory sees each number once.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <algorithm>

#include "ops/cuda/feature_map_kernel.h"

namespace rehyat::ops::cuda {
namespace {

constexpr int kColumns = 8, kThreads = 256, kMostWidth = 2048;
constexpr std::int64_t kBlocks = 2048;  // of a launch, about: some waves of every card that we know

template <typename T>
struct alignas(sizeof(T) * kColumns) Pack {
  T values[kColumns];
};

struct Wide {
  float values[kColumns];
};

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
__device__ inline float to_float(__half x) {
  return __half2float(x);
}
__device__ inline void from_float(float x, float& y) {
  y = x;
}
__device__ inline void from_float(float x, __nv_bfloat16& y) {
  y = __float2bfloat16(x);
}
__device__ inline void from_float(float x, __half& y) {
  y = __float2half(x);
}

template <typename T>
__device__ inline Wide read(const T* x) {
  const Pack<T> pack = *reinterpret_cast<const Pack<T>*>(x);
  Wide wide;
#pragma unroll
  for (int c = 0; c < kColumns; ++c) wide.values[c] = to_float(pack.values[c]);
  return wide;
}

template <typename T>
__device__ inline void write(const Wide& wide, T* y) {
  Pack<T> pack;
#pragma unroll
  for (int c = 0; c < kColumns; ++c) from_float(wide.values[c], pack.values[c]);
  *reinterpret_cast<Pack<T>*>(y) = pack;
}

struct Both {
  float value, slope;
};

/// An activation and its derivative.
__device__ inline Both activated(float x, Activation how) {
  switch (how) {
    case Activation::gelu: {
      const float share = 0.5f * (1 + erff(x * 0.70710678f));
      return {x * share, share + x * 0.39894228f * __expf(-0.5f * x * x)};
    }
    case Activation::silu: {
      const float share = __fdividef(1, 1 + __expf(-x));
      return {x * share, share * (1 + x * (1 - share))};
    }
    case Activation::relu:
      break;
  }
  return {fmaxf(x, 0.0f), x > 0 ? 1.0f : 0.0f};
}

/// A non-negative function and its derivative; softplus is x above 20, as libtorch's.
__device__ inline Both made_nonnegative(float x, NonNegative how) {
  switch (how) {
    case NonNegative::softplus: {
      if (x > 20) return {x, 1};
      const float e = __expf(x), grown = 1 + e;
      // Below 1e-3 the logarithm of the rounded sum would lose what two terms of its series keep.
      return {e < 1e-3f ? e * (1 - 0.5f * e) : __logf(grown), __fdividef(e, grown)};
    }
    case NonNegative::relu:
      return {fmaxf(x, 0.0f), x > 0 ? 1.0f : 0.0f};
    case NonNegative::exp: {
      const float e = expf(x);
      return {e, e};
    }
    case NonNegative::none:
      break;
  }
  return {x, 1};
}

struct Hidden {
  Activation how;
  __device__ Both operator()(float x, int) const { return activated(x, how); }
};

struct Powers {
  NonNegative how;
  int slice_width;
  __device__ Both operator()(float x, int column) const {
    const Both base = made_nonnegative(x, how);
    const int power = 1 + column / slice_width;
    float below = 1;  // base^(power - 1)
    for (int i = 1; i < power; ++i) below *= base.value;
    return {below * base.value, static_cast<float>(power) * below * base.slope};
  }
};

/// Where a thread stands: its columns, its first row, how far to the next.
struct Place {
  int column;
  std::int64_t row, step, end;
  __device__ explicit Place(const MapRows& rows) : column(static_cast<int>(threadIdx.x) * kColumns), step(blockDim.y) {
    const std::int64_t share = (rows.rows + gridDim.x - 1) / gridDim.x, begin = blockIdx.x * share;
    row = begin + threadIdx.y;
    end = min(begin + share, rows.rows);
  }
};

template <typename T, typename F>
__global__ void __launch_bounds__(kThreads) forward(MapRows rows, const T* product, const float* bias, F f, T* y) {
  const std::int64_t group = blockIdx.y;
  Place at(rows);
  const Wide b = read(bias + group % rows.heads * rows.width + at.column);
  const std::int64_t base = group * rows.rows * rows.width + at.column;
#pragma unroll 2
  for (; at.row < at.end; at.row += at.step) {
    Wide x = read(product + base + at.row * rows.width);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) x.values[c] = f(x.values[c] + b.values[c], at.column).value;
    write(x, y + base + at.row * rows.width);
  }
}

template <typename T, typename F>
__global__ void __launch_bounds__(kThreads)
    backward(MapRows rows, const T* product, const float* bias, F f, const T* dy, T* dx, T* y, float* bias_parts) {
  extern __shared__ float partial[];  // [blockDim.y, width]
  const std::int64_t group = blockIdx.y;
  Place at(rows);
  const Wide b = read(bias + group % rows.heads * rows.width + at.column);
  const std::int64_t base = group * rows.rows * rows.width + at.column;
  Wide sum = {};
  for (; at.row < at.end; at.row += at.step) {
    const std::int64_t place = base + at.row * rows.width;
    Wide x = read(product + place), g = read(dy + place);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const Both both = f(x.values[c] + b.values[c], at.column);
      g.values[c] *= both.slope;
      sum.values[c] += g.values[c];
      x.values[c] = both.value;
    }
    write(g, dx + place);
    if (y != nullptr) write(x, y + place);
  }
#pragma unroll
  for (int c = 0; c < kColumns; ++c) partial[threadIdx.y * rows.width + at.column + c] = sum.values[c];
  __syncthreads();
  const int threads = static_cast<int>(blockDim.x * blockDim.y);
  float* part = bias_parts + (static_cast<std::int64_t>(blockIdx.x) * gridDim.y + group) * rows.width;
  for (int i = static_cast<int>(threadIdx.y * blockDim.x + threadIdx.x); i < rows.width; i += threads) {
    float total = 0;
    for (unsigned lane = 0; lane < blockDim.y; ++lane) total += partial[lane * rows.width + i];
    part[i] = total;
  }
}

dim3 block_of(const MapRows& rows) {
  const auto across = static_cast<unsigned>(rows.width / kColumns);
  return {across, std::max(1u, kThreads / across), 1};
}

dim3 grid_of(const MapRows& rows) {
  return {static_cast<unsigned>(map_parts(rows)), static_cast<unsigned>(rows.groups), 1};
}

const char* last_problem() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

template <typename T, typename F>
const char* run_forward(const MapRows& rows, const void* product, const float* bias, F f, void* y, void* stream) {
  forward<T, F><<<grid_of(rows), block_of(rows), 0, static_cast<cudaStream_t>(stream)>>>(
      rows, static_cast<const T*>(product), bias, f, static_cast<T*>(y));
  return last_problem();
}

template <typename T, typename F>
const char* run_backward(const MapRows& rows, const void* product, const float* bias, F f, const void* dy, void* dx,
                         void* y, float* bias_parts, void* stream) {
  const dim3 block = block_of(rows);
  const std::size_t shared = sizeof(float) * block.y * static_cast<std::size_t>(rows.width);
  backward<T, F><<<grid_of(rows), block, shared, static_cast<cudaStream_t>(stream)>>>(
      rows, static_cast<const T*>(product), bias, f, static_cast<const T*>(dy), static_cast<T*>(dx), static_cast<T*>(y),
      bias_parts);
  return last_problem();
}

template <typename F>
const char* forward_of(const MapRows& rows, MapType type, const void* product, const float* bias, F f, void* y,
                       void* stream) {
  if (type == MapType::bf16) return run_forward<__nv_bfloat16>(rows, product, bias, f, y, stream);
  if (type == MapType::f16) return run_forward<__half>(rows, product, bias, f, y, stream);
  return run_forward<float>(rows, product, bias, f, y, stream);
}

template <typename F>
const char* backward_of(const MapRows& rows, MapType type, const void* product, const float* bias, F f, const void* dy,
                        void* dx, void* y, float* parts, void* stream) {
  if (type == MapType::bf16) return run_backward<__nv_bfloat16>(rows, product, bias, f, dy, dx, y, parts, stream);
  if (type == MapType::f16) return run_backward<__half>(rows, product, bias, f, dy, dx, y, parts, stream);
  return run_backward<float>(rows, product, bias, f, dy, dx, y, parts, stream);
}

}  // namespace

bool serves_width(std::int64_t width) {
  return width > 0 && width % kColumns == 0 && width <= kMostWidth;
}

std::int64_t map_parts(const MapRows& rows) {
  const std::int64_t lanes = block_of(rows).y;
  const std::int64_t most = std::max<std::int64_t>(1, (rows.rows + lanes - 1) / lanes);
  return std::clamp<std::int64_t>(kBlocks / std::max<std::int64_t>(1, rows.groups), 1, most);
}

const char* launch_hidden(const MapRows& rows, MapType type, const void* product, const float* bias,
                          Activation activation, void* y, void* stream) {
  return forward_of(rows, type, product, bias, Hidden{activation}, y, stream);
}

const char* launch_hidden_backward(const MapRows& rows, MapType type, const void* product, const float* bias,
                                   Activation activation, const void* dy, void* dx, void* y, float* bias_parts,
                                   void* stream) {
  return backward_of(rows, type, product, bias, Hidden{activation}, dy, dx, y, bias_parts, stream);
}

const char* launch_powers(const MapRows& rows, MapType type, const void* product, const float* bias, NonNegative sign,
                          std::int64_t slice_width, void* y, void* stream) {
  return forward_of(rows, type, product, bias, Powers{sign, static_cast<int>(slice_width)}, y, stream);
}

const char* launch_powers_backward(const MapRows& rows, MapType type, const void* product, const float* bias,
                                   NonNegative sign, std::int64_t slice_width, const void* dy, void* dx,
                                   float* bias_parts, void* stream) {
  return backward_of(rows, type, product, bias, Powers{sign, static_cast<int>(slice_width)}, dy, dx, nullptr,
                     bias_parts, stream);
}

}  // namespace rehyat::ops::cuda
