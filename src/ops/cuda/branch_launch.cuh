#pragma once

#include <algorithm>

#include "ops/cuda/branch_rows.h"
#include "ops/cuda/shared_memory.h"
#include "ops/cuda/state_tile.cuh"

/// How kernels that keep one state a block go over the rows. All rows of all states are cut into tiles, of which each
/// block has an equal share, so that every processor has one block that is busy until the end; where a share goes on
/// with the next state, the block loads it. While a warp works on its rows of a tile, those of the next one are on
/// their way into shared memory.
namespace rehyat::ops::cuda {

constexpr int kBranchWarps = 12, kBranchThreads = 32 * kBranchWarps;
constexpr int kBranchRows = 16 * kBranchWarps;  // of a tile, 16 a warp

/// A lane's two rows of a tile. Rows beyond the last are read as copies of it.
struct LaneRows {
  std::int64_t rectangle, head, low, high, low_read, high_read;
  bool low_inside, high_inside;
};

/// The tiles of a block.
struct BlockTiles {
  int begin, end, tiles;  ///< of all; `tiles` of each state

  __device__ explicit BlockTiles(const BranchSizes& sizes) {
    tiles = static_cast<int>((sizes.rows + kBranchRows - 1) / kBranchRows);
    const std::int64_t all = sizes.count * sizes.heads * tiles;
    begin = static_cast<int>(all * blockIdx.x / gridDim.x);
    end = static_cast<int>(all * (blockIdx.x + 1) / gridDim.x);
  }
  __device__ LaneRows rows(const BranchSizes& sizes, int number) const {
    const std::int64_t state = number / tiles, last = sizes.rows - 1;
    LaneRows at;
    at.rectangle = state / sizes.heads;
    at.head = state % sizes.heads;
    at.low = static_cast<std::int64_t>(number % tiles) * kBranchRows + static_cast<int>(threadIdx.x) / 32 * 16 +
             static_cast<int>(threadIdx.x) % 32 / 4;
    at.high = at.low + 8;
    at.low_inside = at.low <= last;
    at.high_inside = at.high <= last;
    at.low_read = min(at.low, last);
    at.high_read = min(at.high, last);
    return at;
  }
};

/// Shared memory of one lane for its two rows of kDepth values, which only that lane writes and reads: no bank is asked
/// twice, and no thread waits for another.
template <int kDepth>
struct LaneStore {
  static constexpr int kBytes = kDepth / 16 * 512;  ///< of a warp

  unsigned char* base;  ///< of the lane

  __device__ explicit LaneStore(unsigned char* warp) : base(warp + threadIdx.x % 32 * 16) {}
  /// Starts to fetch; the caller commits.
  __device__ void fetch(const __nv_bfloat16* low, const __nv_bfloat16* high) const {
    const std::uint32_t to = shared_address(base);
    const int first = static_cast<int>(threadIdx.x) % 4 * 8;
#pragma unroll
    for (int u = 0; u < kDepth / 32; ++u) {
      copy_async(to + 1024 * u, low + u * 32 + first, true);
      copy_async(to + 1024 * u + 512, high + u * 32 + first, true);
    }
  }
  __device__ uint4 low(int u) const {
    return *reinterpret_cast<const uint4*>(base + 1024 * u);
  }
  __device__ uint4 high(int u) const {
    return *reinterpret_cast<const uint4*>(base + 1024 * u + 512);
  }
  /// Takes all out; what is fetched afterwards may overwrite it.
  __device__ void take(RowFragment<kDepth>& rows) const {
#pragma unroll
    for (int u = 0; u < kDepth / 32; ++u) {
      rows.low[u] = low(u);
      rows.high[u] = high(u);
    }
    __syncwarp();
  }
};

/// kernel(args) with the tiles of all states shared out over the processors.
template <typename Arguments>
const char* launch_branch(void (*kernel)(Arguments), int bytes, const Arguments& args, void* stream) {
  const BranchSizes& sizes = args.sizes;
  const std::int64_t tiles = sizes.count * sizes.heads * ((sizes.rows + kBranchRows - 1) / kBranchRows);
  if (tiles == 0) return nullptr;
  cudaError_t error = allow_shared_memory(kernel, bytes);
  if (error != cudaSuccess) return cudaGetErrorString(error);
  const auto blocks = static_cast<unsigned>(std::min<std::int64_t>(tiles, sizes.processors));
  kernel<<<blocks, kBranchThreads, static_cast<std::size_t>(bytes), static_cast<cudaStream_t>(stream)>>>(args);
  error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace rehyat::ops::cuda
