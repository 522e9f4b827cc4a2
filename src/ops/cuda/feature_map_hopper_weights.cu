// The gradients of a map's weights and biases: hidden' dfeatures and x' dhidden, a head each, with as many rows to add
// up as there are tokens and 256 columns at most. A block of threads adds up its share of the tokens for 128 rows of a
// gradient in registers; a second kernel adds the shares in a fixed order. Two blocks do the two halves of
// hidden' dfeatures for the same tokens side by side, so that memory sends dfeatures once.
#include <algorithm>

#include "ops/cuda/feature_map_hopper.h"
#include "ops/cuda/hopper_map_parts.cuh"

namespace rehyat::ops::cuda {
namespace {

using namespace hopper;

constexpr int kStages = 4;
constexpr int kPanelBytes = kTileRows * kRowBytes;  // of 64 tokens and 64 columns
constexpr int kLeftBytes = 2 * kPanelBytes, kRightBytes = 4 * kPanelBytes;
constexpr int kStageBytes = kLeftBytes + kRightBytes;
constexpr std::int64_t kShareNumbers = 128 * 256 + 256;  // 128 rows of a gradient, and the bias's

/// Who adds up what: the `units` (64 tokens of a head) are cut into as many ranges as there are workers.
struct Split {
  std::int64_t units, units_of_head, workers;
  __host__ __device__ std::int64_t begin(std::int64_t worker) const { return units * worker / workers; }
  __host__ __device__ std::int64_t worker_of(std::int64_t unit) const { return ((unit + 1) * workers - 1) / units; }
  __host__ __device__ std::int64_t first_of_head(std::int64_t head) const { return worker_of(head * units_of_head); }
  __host__ __device__ std::int64_t workers_of_head(std::int64_t head) const {
    return worker_of((head + 1) * units_of_head - 1) - first_of_head(head) + 1;
  }
  /// No head has more.
  __host__ __device__ std::int64_t most_workers() const { return workers * units_of_head / units + 2; }
};

struct WeightsWork {
  HopperShape shape;
  HopperRows x;
  HopperGradients parts;
  Split second, first;  ///< pairs of blocks do the second layer, then all blocks the first
  float* shares;

  /// The share of `worker` in 128 rows of a head's gradient.
  __host__ __device__ float* second_share(std::int64_t head, std::int64_t part, std::int64_t half) const {
    return shares + ((head * second.most_workers() + part) * 2 + half) * kShareNumbers;
  }
  __host__ __device__ float* first_share(std::int64_t head, std::int64_t part) const {
    return shares + (shape.heads * second.most_workers() * 2 + head * first.most_workers() + part) * kShareNumbers;
  }
};

WeightsWork split_work(const HopperShape& shape, std::int64_t processors) {
  WeightsWork work;
  work.shape = shape;
  const std::int64_t units_of_head = shape.batch * ((shape.tokens + kTileRows - 1) / kTileRows);
  const std::int64_t units = units_of_head * shape.heads;
  const std::int64_t blocks = std::max<std::int64_t>(2, std::min(processors, units) / 2 * 2);
  work.second = {units, units_of_head, blocks / 2};
  work.first = {units, units_of_head, blocks};
  return work;
}

__device__ inline std::uint64_t token_major(std::uint32_t address) {
  return (std::uint64_t{1} << 62) | (std::uint64_t{1024 >> 4} << 32) | (std::uint64_t{kPanelBytes >> 4} << 16) |
         (address >> 4);
}

using Product = gmma::MMA_64x256x16_F32BF16BF16_SS<gmma::Major::MN, gmma::Major::MN>;

template <std::size_t... I>
__device__ inline void multiply_panels(std::uint64_t a, std::uint64_t b, float (&acc)[sizeof...(I)], gmma::ScaleOut old,
                                       std::index_sequence<I...>) {
  Product::fma(a, b, acc[I]..., old);
}

/// 64 tokens of rows with 64 * kPanels numbers to shared memory, 16 bytes a copy.
template <int kPanels>
__device__ inline void copy_rows(const HopperShape& shape, const HopperRows& rows, std::int64_t head,
                                 std::int64_t unit_of_head, int column, std::uint32_t to) {
  const std::int64_t units_of_sample = (shape.tokens + kTileRows - 1) / kTileRows;
  const std::int64_t sample = unit_of_head / units_of_sample;
  const std::int64_t token = (unit_of_head - sample * units_of_sample) * kTileRows;
  const __nv_bfloat16* from = static_cast<const __nv_bfloat16*>(rows.data) + sample * rows.batch_stride +
                              head * rows.head_stride + token * rows.token_stride + column;
#pragma unroll
  for (int i = 0; i < kTileRows * 8 * kPanels / kThreads; ++i) {
    const int index = static_cast<int>(threadIdx.x) + i * kThreads;
    const int row = index / (8 * kPanels), chunk = index % (8 * kPanels);
    const bool there = token + row < shape.tokens;
    const std::uint32_t place = to + chunk / 8 * kPanelBytes + row * kRowBytes + (chunk % 8 ^ row % 8) * 16;
    const __nv_bfloat16* source = there ? from + row * rows.token_stride + chunk * 8 : from;
    asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(place), "l"(source), "r"(there ? 16 : 0)
                 : "memory");
  }
}

/// The sum of the thread's column over the stage's tokens; missing ones are 0.
__device__ inline float column_sum(const unsigned char* right) {
  const int column = static_cast<int>(threadIdx.x), chunk = column % 64 / 8;
  const unsigned char* panel = right + column / 64 * kPanelBytes + column % 8 * 2;
  float sum = 0;
#pragma unroll 16
  for (int row = 0; row < kTileRows; ++row)
    sum += __bfloat162float(*reinterpret_cast<const __nv_bfloat16*>(panel + row * kRowBytes + (chunk ^ row % 8) * 16));
  return sum;
}

/// left' right over the tokens of units begin .. end of a head, 128 columns of left and 256 of right, and the sums of
/// right's columns.
__device__ inline void add_up(const WeightsWork& work, const HopperRows& left, int left_column, const HopperRows& right,
                              std::int64_t head, std::int64_t begin, std::int64_t end, unsigned char* shared,
                              float* share) {
  const std::uint32_t base = cute::cast_smem_ptr_to_uint(shared);
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads;
  const auto copy = [&](std::int64_t unit) {
    if (unit < end) {
      const std::uint32_t to = base + static_cast<std::uint32_t>((unit - begin) % kStages) * kStageBytes;
      copy_rows<2>(work.shape, left, head, unit, left_column, to);
      copy_rows<4>(work.shape, right, head, unit, 0, to + kLeftBytes);
    }
    asm volatile("cp.async.commit_group;" ::: "memory");
  };
  __syncthreads();  // all are through with what the memory held
  for (int i = 0; i < kStages - 1; ++i) copy(begin + i);
  float acc[128], sum = 0;
#pragma unroll
  for (int i = 0; i < 128; ++i) acc[i] = 0;
  for (std::int64_t unit = begin; unit < end; ++unit) {
    asm volatile("cp.async.wait_group %0;" ::"n"(kStages - 2) : "memory");
    asm volatile("fence.proxy.async.shared::cta;" ::: "memory");
    __syncthreads();
    copy(unit + kStages - 1);
    const int stage = static_cast<int>((unit - begin) % kStages) * kStageBytes;
    const std::uint32_t at = base + static_cast<std::uint32_t>(stage);
    keep_in_registers(acc);
    cute::warpgroup_arrive();
#pragma unroll
    for (int s = 0; s < kTileRows / 16; ++s)
      multiply_panels(token_major(at + group * kPanelBytes + s * 2048), token_major(at + kLeftBytes + s * 2048), acc,
                      gmma::ScaleOut::One, std::make_index_sequence<128>());
    cute::warpgroup_commit_batch();
    sum += column_sum(shared + stage + kLeftBytes);
    finish_product(acc);
  }
  asm volatile("cp.async.wait_group 0;" ::: "memory");
  const int thread = static_cast<int>(threadIdx.x), row = thread / 32 * 16 + thread % 32 / 4, column = thread % 4 * 2;
#pragma unroll
  for (int b = 0; b < 32; ++b) {
    *reinterpret_cast<float2*>(share + row * 256 + 8 * b + column) = make_float2(acc[4 * b], acc[4 * b + 1]);
    *reinterpret_cast<float2*>(share + (row + 8) * 256 + 8 * b + column) = make_float2(acc[4 * b + 2], acc[4 * b + 3]);
  }
  share[128 * 256 + thread] = sum;
}

__global__ void __launch_bounds__(kThreads, 1) shares_of(const __grid_constant__ WeightsWork work) {
  extern __shared__ __align__(1024) unsigned char shared[];
  // One loop for both layers, so that the product stands in the program once.
  const std::int64_t pair = blockIdx.x / 2, block = blockIdx.x;
  std::int64_t at = work.second.begin(pair), end = work.second.begin(pair + 1);
  for (int layer = 1; layer >= 0;) {
    if (at >= end) {
      if (--layer == 0) at = work.first.begin(block), end = work.first.begin(block + 1);
      continue;
    }
    const Split& split = layer == 1 ? work.second : work.first;
    const std::int64_t head = at / split.units_of_head, start = head * split.units_of_head;
    const std::int64_t stop = min(end, start + split.units_of_head);
    const int half = layer == 1 ? static_cast<int>(block % 2) : 0;
    const std::int64_t part = (layer == 1 ? pair : block) - split.first_of_head(head);
    add_up(work, layer == 1 ? work.parts.hidden : work.x, half * 128,
           layer == 1 ? work.parts.dfeatures : work.parts.dhidden, head, at - start, stop - start, shared,
           layer == 1 ? work.second_share(head, part, half) : work.first_share(head, part));
    at = stop;
  }
}

/// Four numbers a thread: of a head the second layer's weights, the first's, and both biases.
__global__ void sum_of_shares(const __grid_constant__ WeightsWork work, const HopperWeightGradients to) {
  constexpr int kSecond = 256 * 256, kFirst = 128 * 256;
  const std::int64_t head = blockIdx.y;
  const int i = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x) * 4;
  if (i >= kSecond + kFirst + 512) return;
  const bool is_second = i < kSecond || i >= kSecond + kFirst + 256;
  const int half = i < kSecond && i >= kFirst;
  const int place = i < kSecond            ? i % kFirst
                    : i < kSecond + kFirst ? i - kSecond
                                           : kFirst + (i - kSecond - kFirst) % 256;
  float* target = i < kSecond                  ? to.second + head * kSecond + i
                  : i < kSecond + kFirst       ? to.first + head * kFirst + i - kSecond
                  : i < kSecond + kFirst + 256 ? to.first_bias + head * 256 + i - kSecond - kFirst
                                               : to.second_bias + head * 256 + i - kSecond - kFirst - 256;
  const std::int64_t count = (is_second ? work.second : work.first).workers_of_head(head);
  float4 sum = make_float4(0, 0, 0, 0);
  for (std::int64_t part = 0; part < count; ++part) {
    const float* share = is_second ? work.second_share(head, part, half) : work.first_share(head, part);
    const float4 more = *reinterpret_cast<const float4*>(share + place);
    sum.x += more.x, sum.y += more.y, sum.z += more.z, sum.w += more.w;
  }
  *reinterpret_cast<float4*>(target) = sum;
}

std::int64_t processors_of(int device) {
  int processors = 0;
  return cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device) == cudaSuccess ? processors : 2;
}

}  // namespace

std::int64_t hopper_share_bytes(const HopperShape& shape, int device) {
  const WeightsWork work = split_work(shape, processors_of(device));
  return shape.heads * (2 * work.second.most_workers() + work.first.most_workers()) * kShareNumbers *
         static_cast<std::int64_t>(sizeof(float));
}

const char* launch_hopper_weights(const HopperShape& shape, const HopperRows& x, const HopperGradients& parts,
                                  void* shares, const HopperWeightGradients& to, int device, void* stream) {
  WeightsWork work = split_work(shape, processors_of(device));
  work.x = x;
  work.parts = parts;
  work.shares = static_cast<float*>(shares);
  constexpr int kShared = kStages * kStageBytes, kSums = (128 * 256 + 256 * 256 + 512) / 4, kBlock = 256;
  cudaError_t error = cudaFuncSetAttribute(shares_of, cudaFuncAttributeMaxDynamicSharedMemorySize, kShared);
  if (error == cudaSuccess) {
    const auto on = static_cast<cudaStream_t>(stream);
    shares_of<<<static_cast<unsigned>(work.first.workers), kThreads, kShared, on>>>(work);
    sum_of_shares<<<dim3((kSums + kBlock - 1) / kBlock, static_cast<unsigned>(shape.heads)), kBlock, 0, on>>>(work, to);
    error = cudaGetLastError();
  }
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace rehyat::ops::cuda
