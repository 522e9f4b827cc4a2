#include "ops/cuda/mma.cuh"
#include "ops/cuda/row_max_kernel.h"
#include "ops/cuda/shared_memory.h"

namespace rehyat::ops::cuda {
namespace {

constexpr int kWarps = 8, kScoreThreads = 32 * kWarps;
constexpr int kStrips = 2;                       // of 16 queries, a warp
constexpr int kQueries = 16 * kStrips * kWarps;  // a block
constexpr int kKeys = 64;                        // a stage
constexpr int kStages = 3;

/// Where a block works: its rectangle, sample, head and first query.
struct Place {
  int batch;
  std::int64_t rectangle, sample, head, row;
};

__device__ inline Place place_of(const RowMaxArguments& args, std::int64_t block) {
  int batch = 0;
  std::int64_t tiles = 1;
  for (;; ++batch) {
    const ScoreRectangles& r = args.batches[batch];
    tiles = (r.q_rows + kQueries - 1) / kQueries;
    const std::int64_t blocks = args.samples * r.count * args.heads * tiles;
    if (block < blocks) break;
    block -= blocks;
  }
  const std::int64_t tile = block % tiles, head = block / tiles % args.heads, outer = block / tiles / args.heads;
  return {batch, outer % args.batches[batch].count, outer / args.batches[batch].count, head, tile * kQueries};
}

__device__ inline std::int64_t begin_of(const ScoreLayout& x, const Place& at) {
  return at.sample * x.sample + at.rectangle * x.rectangle + at.head * x.head;
}

/// A row of kDepth values is cut into pieces of 16 bytes, which are exchanged within each group of eight so that the
/// eight rows of a matrix lie in different banks.
template <int kDepth>
__device__ inline std::uint32_t piece_offset(int row, int piece) {
  return static_cast<std::uint32_t>(row * kDepth * 2 + ((piece ^ (row & 7)) * 16));
}

/// Queries stay in registers, keys stream through shared memory. Rows beyond the last are copies of it, which changes
/// no maximum.
template <typename T, int kDepth>
__global__ void __launch_bounds__(kScoreThreads, 2) row_maxima(const __grid_constant__ RowMaxArguments args) {
  extern __shared__ __align__(128) unsigned char storage[];
  constexpr int kPieces = kDepth / 8, kStageBytes = kKeys * kDepth * 2, kSteps = kDepth / 16;
  const Place at = place_of(args, blockIdx.x);
  const ScoreRectangles& where = args.batches[at.batch];
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32, width = static_cast<int>(args.width);
  const T* q = static_cast<const T*>(where.q) + begin_of(where.q_layout, at);
  const T* k = static_cast<const T*>(where.k) + begin_of(where.k_layout, at);
  const int k_rows = static_cast<int>(where.k_rows), q_rows = static_cast<int>(where.q_rows);
  const int tiles = (k_rows + kKeys - 1) / kKeys;
  const std::uint32_t memory = shared_address(storage);

  const auto fetch = [&](int tile) {
    if (tile < tiles) {
      const std::uint32_t stage = memory + tile % kStages * kStageBytes;
#pragma unroll
      for (int i = 0; i < kKeys * kPieces / kScoreThreads; ++i) {
        const int number = i * kScoreThreads + static_cast<int>(threadIdx.x), row = number / kPieces;
        const int piece = number % kPieces, key = min(tile * kKeys + row, k_rows - 1);
        const bool inside = piece * 8 < width;
        copy_async(stage + piece_offset<kDepth>(row, piece), k + key * where.k_layout.row + (inside ? piece * 8 : 0),
                   inside);
      }
    }
    commit_copies();
  };
#pragma unroll
  for (int i = 0; i < kStages - 1; ++i) fetch(i);

  std::uint32_t a[kStrips][kSteps][4];
  const int first = static_cast<int>(at.row) + warp * 16 * kStrips + lane / 4;
#pragma unroll
  for (int m = 0; m < kStrips; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const T* row = q + min(first + m * 16 + half * 8, q_rows - 1) * where.q_layout.row;
#pragma unroll
      for (int s = 0; s < kSteps; ++s) {
#pragma unroll
        for (int side = 0; side < 2; ++side) {
          const int column = s * 16 + side * 8 + 2 * (lane % 4);
          a[m][s][half + 2 * side] = column < width ? *reinterpret_cast<const std::uint32_t*>(row + column) : 0;
        }
      }
    }
  }

  float best[kStrips][2];
#pragma unroll
  for (int m = 0; m < kStrips; ++m) best[m][0] = best[m][1] = -INFINITY;
  for (int tile = 0; tile < tiles; ++tile) {
    wait_copies<kStages - 2>();
    __syncthreads();  // the stage is whole, and no warp reads the one that is fetched next
    fetch(tile + kStages - 1);
    const std::uint32_t stage = memory + tile % kStages * kStageBytes;
#pragma unroll
    for (int n = 0; n < kKeys / 16; ++n) {
      float c[kStrips][2][4] = {};
#pragma unroll
      for (int s = 0; s < kSteps; s += 2) {
        std::uint32_t b[2][4];
#pragma unroll
        for (int side = 0; side < 2; ++side)
          load_matrices(b[side], stage + piece_offset<kDepth>(n * 16 + side * 8 + lane % 8, s * 2 + lane / 8));
#pragma unroll
        for (int half = 0; half < 2; ++half) {
#pragma unroll
          for (int m = 0; m < kStrips; ++m) {
#pragma unroll
            for (int side = 0; side < 2; ++side)
              multiply_add<T>(c[m][side], a[m][s + half], b[side][2 * half], b[side][2 * half + 1]);
          }
        }
      }
#pragma unroll
      for (int m = 0; m < kStrips; ++m) {
#pragma unroll
        for (int side = 0; side < 2; ++side) {
          best[m][0] = fmaxf(best[m][0], fmaxf(c[m][side][0], c[m][side][1]));
          best[m][1] = fmaxf(best[m][1], fmaxf(c[m][side][2], c[m][side][3]));
        }
      }
    }
  }
  wait_copies<0>();

  float* out = where.out + (at.sample * args.heads + at.head) * args.out_stride + at.rectangle * where.out_rectangle;
#pragma unroll
  for (int m = 0; m < kStrips; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      float x = best[m][half];
      x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 1));
      x = fmaxf(x, __shfl_xor_sync(0xffffffffu, x, 2));
      const int row = first + m * 16 + half * 8;
      if (lane % 4 == 0 && row < q_rows) out[row] = args.scale * x;
    }
  }
}

template <typename T, int kDepth>
const char* launch_scores(const RowMaxArguments& args, cudaStream_t stream) {
  std::int64_t blocks = 0;
  for (int i = 0; i < args.batch_count; ++i) {
    const ScoreRectangles& r = args.batches[i];
    blocks += args.samples * r.count * args.heads * ((r.q_rows + kQueries - 1) / kQueries);
  }
  if (blocks == 0) return nullptr;
  constexpr int kBytes = kStages * kKeys * kDepth * 2;
  cudaError_t error = allow_shared_memory(row_maxima<T, kDepth>, kBytes);
  if (error != cudaSuccess) return cudaGetErrorString(error);
  row_maxima<T, kDepth><<<static_cast<unsigned>(blocks), kScoreThreads, kBytes, stream>>>(args);
  error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

template <typename T>
const char* launch_of_depth(const RowMaxArguments& args, cudaStream_t stream) {
  return args.width <= 64 ? launch_scores<T, 64>(args, stream) : launch_scores<T, 128>(args, stream);
}

}  // namespace

const char* launch_row_max(const RowMaxArguments& args, void* stream) {
  const auto on = static_cast<cudaStream_t>(stream);
  return args.bf16 ? launch_of_depth<__nv_bfloat16>(args, on) : launch_of_depth<__half>(args, on);
}

}  // namespace rehyat::ops::cuda
