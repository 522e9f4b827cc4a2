// Numeric contract: float32 inside, one rounding to the element type at the end; a row with n = 0 is o, bit for bit.
// Half a warp a row: its values are read once, coalesced, and the row's scalars are computed by every lane alike.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cstdint>

#include "ops/cuda/blend_kernel.h"
#include "ops/cuda/blend_rule.cuh"

namespace rehyat::ops::cuda {
namespace {

constexpr int kLanes = 16, kRowsPerBlock = 16, kColumns = 8;

__device__ inline float to_float(float x) {
  return x;
}
__device__ inline float to_float(__nv_bfloat16 x) {
  return __bfloat162float(x);
}
__device__ inline float to_float(__half x) {
  return __half2float(x);
}
template <typename T>
__device__ inline T from_float(float x);
template <>
__device__ inline float from_float<float>(float x) {
  return x;
}
template <>
__device__ inline __nv_bfloat16 from_float<__nv_bfloat16>(float x) {
  return __float2bfloat16(x);
}
template <>
__device__ inline __half from_float<__half>(float x) {
  return __float2half(x);
}

/// Neighbouring values, read and written at once.
template <typename T>
struct alignas(kColumns * sizeof(T)) Pack {
  T values[kColumns];
};

template <typename T>
__device__ inline T blended(T o, float a, const Weights& w) {
  return from_float<T>(w.soft * to_float(o) + w.linear * (a / w.divisor));
}

/// kPacked: the layouts let eight values be read at once.
template <typename T, bool kPacked>
__global__ void blend_rows(BlendArguments args) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.y;
  if (row >= args.samples * args.heads * args.rows) return;
  const std::int64_t group = row / args.rows, place = row % args.rows;
  const std::int64_t sample = group / args.heads, head = group % args.heads, value = group * args.value_stride + place;
  const auto begin = [&](const RowLayout& layout) {
    return sample * layout.batch + head * layout.head + place * layout.row;
  };
  const float* a = args.sums + row * args.columns;
  const float n = a[args.width];
  const Weights w = weigh(args.rule, args.lse[value], n, args.row_max != nullptr ? args.row_max[value] : 0);
  const T* o = static_cast<const T*>(args.o) + begin(args.o_layout);
  T* y = static_cast<T*>(args.y) + begin(args.y_layout);
  if constexpr (kPacked) {
    for (std::int64_t i = kColumns * threadIdx.x; i < args.width; i += kColumns * kLanes) {
      Pack<T> pack = *reinterpret_cast<const Pack<T>*>(o + i);
      const Pack<float> linear = *reinterpret_cast<const Pack<float>*>(a + i);
      if (n != 0) {
#pragma unroll
        for (int c = 0; c < kColumns; ++c) pack.values[c] = blended(pack.values[c], linear.values[c], w);
      }
      *reinterpret_cast<Pack<T>*>(y + i) = pack;
    }
  } else {
    for (std::int64_t i = threadIdx.x; i < args.width; i += kLanes) y[i] = n == 0 ? o[i] : blended(o[i], a[i], w);
  }
  if (threadIdx.x != 0) return;
  args.log_l[value] = w.log_l;
  if (args.log_z != nullptr) args.log_z[value] = w.log_z;
  if (args.scale != nullptr) args.scale[value] = w.scale;
  if (w.bad) atomicAdd(args.bad_rows, 1);
}

bool in_packs(const BlendArguments& args) {
  const auto even = [](const RowLayout& x) {
    return x.batch % kColumns == 0 && x.head % kColumns == 0 && x.row % kColumns == 0;
  };
  const auto aligned = [](const void* x) { return reinterpret_cast<std::uintptr_t>(x) % (4 * kColumns) == 0; };
  return args.width % kColumns == 0 && args.columns % kColumns == 0 && even(args.o_layout) && even(args.y_layout) &&
         aligned(args.o) && aligned(args.y) && aligned(args.sums);
}

template <typename T>
const char* launch(const BlendArguments& args, cudaStream_t stream) {
  const std::int64_t rows = args.samples * args.heads * args.rows;
  if (rows == 0) return nullptr;
  const auto blocks = static_cast<unsigned>((rows + kRowsPerBlock - 1) / kRowsPerBlock);
  const dim3 threads(kLanes, kRowsPerBlock);
  if (in_packs(args)) {
    blend_rows<T, true><<<blocks, threads, 0, stream>>>(args);
  } else {
    blend_rows<T, false><<<blocks, threads, 0, stream>>>(args);
  }
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace

const char* launch_blend(const BlendArguments& arguments, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  switch (arguments.element) {
    case Element::bf16:
      return launch<__nv_bfloat16>(arguments, on);
    case Element::f16:
      return launch<__half>(arguments, on);
    case Element::f32:
      break;
  }
  return launch<float>(arguments, on);
}

}  // namespace rehyat::ops::cuda
