#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "ops/cuda/distance_kernel.h"

namespace rehyat::ops::cuda {
namespace {

constexpr int kPack = 8, kThreads = 256;
constexpr std::int64_t kMostBlocks = 2048;  // enough to fill any card several times

struct alignas(16) Pack {
  __nv_bfloat16 values[kPack];
};

template <DistanceRule kRule>
__device__ inline float distance_of(float d) {
  if (kRule == DistanceRule::l1) return fabsf(d);
  if (kRule == DistanceRule::mse) return d * d;
  const float size = fabsf(d);
  return size < 1 ? 0.5f * d * d : size - 0.5f;
}

/// NaN gives NaN, as libtorch's operators do.
template <DistanceRule kRule>
__device__ inline float slope_of(float d) {
  if (kRule == DistanceRule::mse) return 2 * d;
  if (kRule == DistanceRule::huber && fabsf(d) < 1) return d;
  return d > 0 ? 1.0f : d < 0 ? -1.0f : d;
}

template <DistanceRule kRule>
__global__ void distances(DistanceArguments args) {
  const std::int64_t packs = args.values / kPack, step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  const Pack* x = static_cast<const Pack*>(args.x);
  const Pack* y = static_cast<const Pack*>(args.y);
  Pack* gradient = static_cast<Pack*>(args.gradient);
  float sum = 0;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < packs; i += step) {
    const Pack a = x[i], b = y[i];
    Pack slope;
#pragma unroll
    for (int c = 0; c < kPack; ++c) {
      const float d = __bfloat162float(a.values[c]) - __bfloat162float(b.values[c]);
      sum += distance_of<kRule>(d);
      slope.values[c] = __float2bfloat16(slope_of<kRule>(d) * args.scale);
    }
    if (gradient != nullptr) gradient[i] = slope;
  }
  __shared__ float of_warp[kThreads / 32];
#pragma unroll
  for (int lanes = 16; lanes > 0; lanes /= 2) sum += __shfl_xor_sync(0xffffffffu, sum, lanes);
  if (threadIdx.x % 32 == 0) of_warp[threadIdx.x / 32] = sum;
  __syncthreads();
  if (threadIdx.x != 0) return;
  float total = 0;
  for (float part : of_warp) total += part;
  args.parts[blockIdx.x] = total * args.scale;
}

__global__ void scale_packs(Pack* gradient, std::int64_t packs, const float* factor) {
  const float f = *factor;
  if (f == 1) return;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kThreads;
  for (std::int64_t i = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x; i < packs; i += step) {
    Pack pack = gradient[i];
#pragma unroll
    for (int c = 0; c < kPack; ++c) pack.values[c] = __float2bfloat16(__bfloat162float(pack.values[c]) * f);
    gradient[i] = pack;
  }
}

const char* last_problem() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace

int distance_blocks(std::int64_t values) {
  const std::int64_t wanted = (values / kPack + kThreads - 1) / kThreads;
  return static_cast<int>(wanted < 1 ? 1 : wanted > kMostBlocks ? kMostBlocks : wanted);
}

const char* launch_distance(const DistanceArguments& arguments, void* stream) {
  const dim3 grid(distance_blocks(arguments.values)), block(kThreads);
  const auto where = static_cast<cudaStream_t>(stream);
  switch (arguments.rule) {
    case DistanceRule::l1:
      distances<DistanceRule::l1><<<grid, block, 0, where>>>(arguments);
      break;
    case DistanceRule::mse:
      distances<DistanceRule::mse><<<grid, block, 0, where>>>(arguments);
      break;
    case DistanceRule::huber:
      distances<DistanceRule::huber><<<grid, block, 0, where>>>(arguments);
      break;
  }
  return last_problem();
}

const char* launch_scale(void* gradient, std::int64_t values, const float* factor, void* stream) {
  scale_packs<<<distance_blocks(values), kThreads, 0, static_cast<cudaStream_t>(stream)>>>(static_cast<Pack*>(gradient),
                                                                                           values / kPack, factor);
  return last_problem();
}

}  // namespace rehyat::ops::cuda
