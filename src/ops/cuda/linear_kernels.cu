#include <cuda_bf16.h>
#include <cuda_runtime.h>

#include "ops/cuda/linear_kernels.h"

namespace rehyat::ops::cuda {
namespace {

constexpr int kLanes = 16, kRowsPerBlock = 16, kColumns = 8, kThreads = 256;
constexpr int kMostPacks = 4;  // of a lane, kept in registers: rows of up to 512 values
constexpr float kMostExponent = 80;

template <int kCount>
struct alignas(2 * kCount) Halves {
  __nv_bfloat16 values[kCount];
};

template <int kCount>
__device__ inline Halves<kCount> load(const void* base, std::int64_t place) {
  return *reinterpret_cast<const Halves<kCount>*>(static_cast<const __nv_bfloat16*>(base) + place);
}

/// Half a warp a row, eight columns a lane.
__global__ void upstream_rows(UpstreamArguments args) {
  const std::int64_t row = static_cast<std::int64_t>(blockIdx.x) * kRowsPerBlock + threadIdx.y;
  const bool inside = row < args.samples * args.heads * args.rows;  // the others only help to add up
  const std::int64_t group = row / args.rows, place = row % args.rows;
  const std::int64_t sample = group / args.heads, head = group % args.heads;
  const auto begin = [&](const GradientLayout& layout) {
    return sample * layout.batch + head * layout.head + place * layout.row;
  };
  Halves<kColumns> g[kMostPacks];
  float delta = 0;
#pragma unroll
  for (int p = 0; p < kMostPacks; ++p) {
    const std::int64_t i = kColumns * (threadIdx.x + p * kLanes);
    if (!inside || i >= args.width) break;
    g[p] = load<kColumns>(args.dy, begin(args.dy_layout) + i);
    const Halves<kColumns> y = load<kColumns>(args.y, begin(args.y_layout) + i);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) delta += __bfloat162float(g[p].values[c]) * __bfloat162float(y.values[c]);
  }
#pragma unroll
  for (int step = kLanes / 2; step > 0; step /= 2) delta += __shfl_xor_sync(0xffffffffu, delta, step);
  if (!inside) return;
  float w = args.scale == nullptr ? 1 : args.scale[row];
  if (args.log_z != nullptr) w *= expf(fminf(-args.log_z[row], kMostExponent));
  __nv_bfloat16* out = static_cast<__nv_bfloat16*>(args.out) + row * args.columns;
#pragma unroll
  for (int p = 0; p < kMostPacks; ++p) {
    const std::int64_t i = kColumns * (threadIdx.x + p * kLanes);
    if (i >= args.width) break;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) g[p].values[c] = __float2bfloat16(w * __bfloat162float(g[p].values[c]));
    *reinterpret_cast<Halves<kColumns>*>(out + i) = g[p];
  }
  // The columns behind the values, one pack a lane.
  for (std::int64_t i = args.width + kColumns * threadIdx.x; i < args.columns; i += kColumns * kLanes) {
    Halves<kColumns> rest;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) rest.values[c] = __float2bfloat16(i + c == args.width ? -w * delta : 0.0f);
    *reinterpret_cast<Halves<kColumns>*>(out + i) = rest;
  }
}

/// A thread has eight neighbouring columns of one row of [v | 1 | 0].
__global__ void value_columns(ColumnArguments args) {
  const std::int64_t packs = args.columns / kColumns;
  const std::int64_t number = static_cast<std::int64_t>(blockIdx.x) * kThreads + threadIdx.x;
  if (number >= args.samples * args.heads * args.rows * packs) return;
  const std::int64_t i = number % packs * kColumns, row = number / packs;
  const std::int64_t group = row / args.rows, place = row % args.rows;
  Halves<kColumns> result;
  if (i < args.width) {
    result = load<kColumns>(args.v, group / args.heads * args.layout.batch + group % args.heads * args.layout.head +
                                        place * args.layout.row + i);
  } else {
#pragma unroll
    for (int c = 0; c < kColumns; ++c) result.values[c] = __float2bfloat16(i + c == args.width ? 1.0f : 0.0f);
  }
  *reinterpret_cast<Halves<kColumns>*>(static_cast<__nv_bfloat16*>(args.out) + row * args.columns + i) = result;
}

__device__ inline void add(float (&sum)[8], const void* base, std::int64_t place) {
  const Halves<8> x = load<8>(base, place);
#pragma unroll
  for (int c = 0; c < 8; ++c) sum[c] += __bfloat162float(x.values[c]);
}

/// A thread has eight neighbouring columns of one key of one head, which is the grid's second dimension.
__global__ void fold_keys(const __grid_constant__ FoldArguments args) {
  const auto packs = static_cast<unsigned>(args.width / 8), number = blockIdx.x * kThreads + threadIdx.x;
  const auto key = static_cast<int>(number / packs), column = static_cast<int>(number % packs * 8);
  if (key >= args.keys) return;
  const std::int64_t head = blockIdx.y;
  float sum[8] = {};
  for (int s = 0; s < args.source_count; ++s) {
    const FoldSource& source = args.sources[s];
    const int at = key - static_cast<int>(source.begin), rows = static_cast<int>(source.rows);
    if (at < 0) continue;
    // The rectangles that have this key: i * stride <= at < i * stride + rows.
    const int stride = static_cast<int>(source.stride);
    int first = 0, last = static_cast<int>(source.count) - 1;
    if (stride > 0) {
      last = min(last, at / stride);
      first = at < rows ? 0 : (at - rows) / stride + 1;
    } else if (at >= rows) {
      continue;
    }
    for (int i = first; i <= last; ++i) {
      const int row = at - i * stride;
      add(sum, source.gradient, i * source.layout.batch + head * source.layout.head + row * source.layout.row + column);
    }
  }
  if (args.more != nullptr) add(sum, args.more, head * args.more_layout.head + key * args.more_layout.row + column);
  Halves<8> result;
#pragma unroll
  for (int c = 0; c < 8; ++c) result.values[c] = __float2bfloat16(sum[c]);
  __nv_bfloat16* out = static_cast<__nv_bfloat16*>(args.out);
  *reinterpret_cast<Halves<8>*>(out + head * args.out_layout.head + key * args.out_layout.row + column) = result;
}

const char* gradient_problem() {
  const cudaError_t error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace

const char* launch_upstream(const UpstreamArguments& args, void* stream) {
  const std::int64_t rows = args.samples * args.heads * args.rows;
  if (rows == 0) return nullptr;
  const auto blocks = static_cast<unsigned>((rows + kRowsPerBlock - 1) / kRowsPerBlock);
  upstream_rows<<<blocks, dim3(kLanes, kRowsPerBlock), 0, static_cast<cudaStream_t>(stream)>>>(args);
  return gradient_problem();
}

const char* launch_columns(const ColumnArguments& args, void* stream) {
  const std::int64_t threads = args.samples * args.heads * args.rows * (args.columns / kColumns);
  if (threads == 0) return nullptr;
  const auto blocks = static_cast<unsigned>((threads + kThreads - 1) / kThreads);
  value_columns<<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args);
  return gradient_problem();
}

const char* launch_fold(const FoldArguments& args, void* stream) {
  const std::int64_t threads = args.keys * (args.width / 8);
  if (threads == 0 || args.heads == 0) return nullptr;
  const dim3 blocks(static_cast<unsigned>((threads + kThreads - 1) / kThreads), static_cast<unsigned>(args.heads));
  fold_keys<<<blocks, kThreads, 0, static_cast<cudaStream_t>(stream)>>>(args);
  return gradient_problem();
}

}  // namespace rehyat::ops::cuda
