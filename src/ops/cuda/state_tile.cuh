#pragma once

#include "ops/cuda/mma.cuh"

/// A state [S | z] in shared memory as the operand of tensor cores, and rows of 16-bit values as the other one.
///
/// A product does not care in which order its inner dimension is summed, nor in which order columns are computed.
/// Within 32 neighbouring rows (and columns) the state is kept in the order that gives each lane eight neighbouring
/// values of the other operand and of the result, so that both are read and written 16 bytes at a time where they lie:
/// place 8 j + 2 c + i holds number 8 c + 2 j + i (i < 2; c, j < 4).
namespace rehyat::ops::cuda {

__host__ __device__ constexpr int state_place(int number) {
  const int rest = number % 32;
  return number - rest + rest / 2 % 4 * 8 + rest / 8 * 2 + rest % 2;
}

/// Shared memory of a state: kFeatures rows of kWidth columns, z and seven columns of 0. A row is an odd number of 16
/// bytes, so that eight rows lie in different banks.
template <int kFeatures, int kWidth>
struct StateTile {
  static constexpr int kStride = 2 * (kWidth + 8), kBytes = kFeatures * kStride;
  static_assert(kFeatures % 32 == 0 && kWidth % 32 == 0, "the order is that of 32 rows and columns");

  std::uint32_t base;

  __device__ std::uint32_t at(int row, int column) const {
    return base + static_cast<std::uint32_t>(row * kStride + column * 2);
  }
};

/// state [kFeatures, kWidth + 8] in float32; all threads of the block take part, and meet before and after.
template <int kFeatures, int kWidth>
__device__ inline void load_state(unsigned char* storage, const float* state) {
  using Tile = StateTile<kFeatures, kWidth>;
  constexpr int kPairs = kWidth / 2, kColumns = kWidth + 8;
  __syncthreads();
#pragma unroll 8
  for (int i = static_cast<int>(threadIdx.x); i < kFeatures * kPairs; i += static_cast<int>(blockDim.x)) {
    const int row = i / kPairs, column = i % kPairs * 2;
    const float2 pair = *reinterpret_cast<const float2*>(state + row * kColumns + column);
    *reinterpret_cast<__nv_bfloat162*>(storage + state_place(row) * Tile::kStride + state_place(column) * 2) =
        __float22bfloat162_rn(pair);
  }
  for (int row = static_cast<int>(threadIdx.x); row < kFeatures; row += static_cast<int>(blockDim.x)) {
    uint4 rest = {0, 0, 0, 0};
    *reinterpret_cast<__nv_bfloat16*>(&rest) = __float2bfloat16(state[row * kColumns + kWidth]);
    *reinterpret_cast<uint4*>(storage + state_place(row) * Tile::kStride + kWidth * 2) = rest;
  }
  __syncthreads();
}

/// What a lane has of 16 rows of kDepth values as the left operand: of rows lane / 4 and lane / 4 + 8, in each 32
/// columns the eight from 8 (lane % 4) on.
template <int kDepth>
struct RowFragment {
  uint4 low[kDepth / 32], high[kDepth / 32];

  /// Of inner values 16 `step` and the 15 after, in the state's order.
  __device__ void step(int step, std::uint32_t (&a)[4]) const {
    const uint4 &x = low[step / 2], &y = high[step / 2];
    const bool second = step % 2 != 0;
    a[0] = second ? x.z : x.x;
    a[1] = second ? y.z : y.x;
    a[2] = second ? x.w : x.y;
    a[3] = second ? y.w : y.y;
  }
};

}  // namespace rehyat::ops::cuda
