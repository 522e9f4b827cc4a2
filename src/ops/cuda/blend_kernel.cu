// Numeric contract: float32 inside, one rounding to the element type at the end; a row with n = 0 is o, bit for bit.
// One warp a row: its values are read once, coalesced, and the row's scalars are computed by every lane alike.
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <cuda_runtime.h>

#include <cmath>

#include "ops/cuda/blend_kernel.h"

namespace rehyat::ops::cuda {
namespace {

constexpr int kWarp = 32, kRowsPerBlock = 8;

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

/// y = soft * o + linear * (a / divisor): a is divided first, since 1 / n overflows where n is denormal.
struct Weights {
  float soft, linear, divisor, log_l, log_z, scale;
  bool bad;
};

__device__ inline Weights weigh(BlendRule rule, float lse, float n, float c) {
  Weights w{1, 1, 1, lse, lse, 1, false};
  if (rule == BlendRule::joint) {
    w.bad = n < 0;
    if (n != 0) {  // NaN included, which must stay NaN
      const float log_n = logf(n), gap = log_n - lse;
      w.soft = 1 / (1 + expf(gap));
      w.linear = 1 / (1 + expf(-gap));
      w.divisor = n;
      w.log_l = fmaxf(lse, log_n) + log1pf(expf(-fabsf(gap)));
    }
    return w;
  }
  const float mass = rule == BlendRule::lse ? 1.0f : expf(lse - c), z = mass + n;
  w.bad = z == 0;
  w.soft = mass / z;
  w.divisor = z;
  if (rule == BlendRule::lse) {
    w.scale = 1 / z;
    return w;
  }
  w.log_z = logf(fabsf(z));
  w.log_l = c + w.log_z;
  w.scale = z < 0 ? -1.0f : 1.0f;
  return w;
}

template <typename T>
__global__ void blend_rows(BlendArguments args) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.y;
  if (row >= args.outer * args.rows) return;
  const std::int64_t batch = row / args.rows, place = row % args.rows;
  const std::int64_t value = batch * args.value_stride + place, begin = batch * args.o_stride + place * args.width;
  const float* a = args.sums + row * (args.width + 1);
  const float n = a[args.width];
  const Weights w = weigh(args.rule, args.lse[value], n, args.row_max != nullptr ? args.row_max[value] : 0);
  const T* o = static_cast<const T*>(args.o) + begin;
  T* y = static_cast<T*>(args.y) + begin;
  for (std::int64_t i = threadIdx.x; i < args.width; i += kWarp)
    y[i] = n == 0 ? o[i] : from_float<T>(w.soft * to_float(o[i]) + w.linear * (a[i] / w.divisor));
  if (threadIdx.x != 0) return;
  args.log_l[value] = w.log_l;
  if (args.log_z != nullptr) args.log_z[value] = w.log_z;
  if (args.scale != nullptr) args.scale[value] = w.scale;
  if (w.bad) atomicAdd(args.bad_rows, 1);
}

template <typename T>
const char* launch(const BlendArguments& args, cudaStream_t stream) {
  const std::int64_t rows = args.outer * args.rows;
  if (rows == 0) return nullptr;
  const auto blocks = static_cast<unsigned>((rows + kRowsPerBlock - 1) / kRowsPerBlock);
  blend_rows<T><<<blocks, dim3(kWarp, kRowsPerBlock), 0, stream>>>(args);
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
