#pragma once

#include <algorithm>

#include "ops/cuda/branch_rows.h"
#include "ops/cuda/shared_memory.h"

/// How kernels that keep one state a block go over the rows.
namespace rehyat::ops::cuda {

constexpr int kBranchWarps = 4, kBranchThreads = 32 * kBranchWarps;
constexpr int kBranchRows = 16 * kBranchWarps;  // of a tile, 16 a warp
constexpr int kBranchBlocks = 3;                // of a processor at once

/// The rows of a warp, tile by tile; a lane has two of each 16. Rows beyond the last are read as copies of it.
class WarpRows {
 public:
  /// `share` tiles for each blockIdx.x.
  __device__ WarpRows(int share, std::int64_t rows) : rows_(rows) {
    const std::int64_t tile = static_cast<std::int64_t>(blockIdx.x) * share;
    begin_ = tile * kBranchRows + static_cast<int>(threadIdx.x) / 32 * 16;
    end_ = min(rows, (tile + share) * kBranchRows);
    place();
  }
  __device__ bool inside() const { return begin_ < end_; }
  __device__ void next() {
    begin_ += kBranchRows;
    place();
  }
  __device__ std::int64_t low_read() const { return min(low, rows_ - 1); }
  __device__ std::int64_t high_read() const { return min(high, rows_ - 1); }

  std::int64_t low, high;

 private:
  __device__ void place() {
    low = begin_ + static_cast<int>(threadIdx.x) % 32 / 4;
    high = low + 8;
  }
  std::int64_t rows_, begin_, end_;
};

/// kernel(args, share) for all rectangles (grid's z), heads (y) and tiles (x), as many blocks as run at once.
template <int kBytes, typename Arguments>
const char* launch_branch(void (*kernel)(Arguments, int), const Arguments& args, void* stream) {
  const BranchSizes& sizes = args.sizes;
  const std::int64_t pairs = sizes.count * sizes.heads;
  if (pairs == 0 || sizes.rows == 0) return nullptr;
  cudaError_t error = allow_shared_memory(kernel, kBytes);
  if (error != cudaSuccess) return cudaGetErrorString(error);
  const std::int64_t tiles = (sizes.rows + kBranchRows - 1) / kBranchRows;
  const std::int64_t blocks = std::clamp<std::int64_t>(kBranchBlocks * sizes.processors / pairs, 1, tiles);
  const std::int64_t share = (tiles + blocks - 1) / blocks;
  const dim3 grid(static_cast<unsigned>((tiles + share - 1) / share), static_cast<unsigned>(sizes.heads),
                  static_cast<unsigned>(sizes.count));
  kernel<<<grid, kBranchThreads, kBytes, static_cast<cudaStream_t>(stream)>>>(args, static_cast<int>(share));
  error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace rehyat::ops::cuda
