#pragma once

#include "ops/cuda/branch_rows.h"
#include "ops/cuda/state_tile.cuh"

namespace rehyat::ops::cuda {

__device__ inline __nv_bfloat16* row_of(const BranchRows& x, std::int64_t i, std::int64_t head, std::int64_t row) {
  return static_cast<__nv_bfloat16*>(x.data) + i * x.rectangle + head * x.head + row * x.row;
}
__device__ inline float* value_of(const BranchValues& x, std::int64_t i, std::int64_t head, std::int64_t row) {
  return x.data + i * x.rectangle + head * x.head + row;
}

/// 16 rows a warp times a state [kFeatures, kWidth]: sums[n] are the eight columns of place 8 n on. With kWithZ a last
/// one has the product with z.
template <int kFeatures, int kWidth, bool kWithZ>
__device__ inline void state_product(const RowFragment<kFeatures>& rows, const StateTile<kFeatures, kWidth>& state,
                                     float (&sums)[kWidth / 8 + (kWithZ ? 1 : 0)][4]) {
  const int lane = static_cast<int>(threadIdx.x) % 32;
#pragma unroll
  for (int step = 0; step < kFeatures / 16; ++step) {
    std::uint32_t a[4];
    rows.step(step, a);
    const int row = step * 16 + lane % 16;  // matrices 0 and 2 have the first eight, 1 and 3 the others
#pragma unroll
    for (int n = 0; n < kWidth / 8; n += 2) {
      std::uint32_t b[4];
      load_matrices_turned(b, state.at(row, (n + lane / 16) * 8));
      multiply_add<__nv_bfloat16>(sums[n], a, b[0], b[1]);
      multiply_add<__nv_bfloat16>(sums[n + 1], a, b[2], b[3]);
    }
    if constexpr (kWithZ) {
      std::uint32_t z[2];
      load_two_matrices_turned(z, state.at(row, kWidth));
      multiply_add<__nv_bfloat16>(sums[kWidth / 8], a, z[0], z[1]);
    }
  }
}

/// 16 rows a warp times the state turned, [kWidth, kFeatures], and z times a number of each row, written to rows of
/// kFeatures where they are not null: gradients of features. `storage` is where the state lies.
template <int kFeatures, int kWidth>
__device__ inline void feature_gradients(const RowFragment<kWidth>& rows, float z_low, float z_high,
                                         const unsigned char* storage, __nv_bfloat16* low, __nv_bfloat16* high) {
  using Tile = StateTile<kFeatures, kWidth>;
  constexpr int kTiles = 4;  // at a time: 32 features
  const Tile state{shared_address(storage)};
  const int lane = static_cast<int>(threadIdx.x) % 32, quarter = lane % 4;
  for (int first = 0; first < kFeatures; first += 8 * kTiles) {
    float sums[kTiles][4];
#pragma unroll
    for (int n = 0; n < kTiles; ++n) {
#pragma unroll
      for (int i = 0; i < 2; ++i) {
        const float z = __bfloat162float(*reinterpret_cast<const __nv_bfloat16*>(
            storage + (first + n * 8 + 2 * quarter + i) * Tile::kStride + kWidth * 2));
        sums[n][i] = z_low * z;
        sums[n][2 + i] = z_high * z;
      }
    }
#pragma unroll
    for (int step = 0; step < kWidth / 16; step += 2) {
      std::uint32_t a[2][4];
      rows.step(step, a[0]);
      rows.step(step + 1, a[1]);
#pragma unroll
      for (int n = 0; n < kTiles; ++n) {
        std::uint32_t b[4];
        load_matrices(b, state.at(first + n * 8 + lane % 8, step * 16 + lane / 8 * 8));
        multiply_add<__nv_bfloat16>(sums[n], a[0], b[0], b[1]);
        multiply_add<__nv_bfloat16>(sums[n], a[1], b[2], b[3]);
      }
    }
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      __nv_bfloat16* out = half == 0 ? low : high;
      uint4 pack;
      __nv_bfloat162* pairs = reinterpret_cast<__nv_bfloat162*>(&pack);
#pragma unroll
      for (int j = 0; j < 4; ++j) pairs[j] = __floats2bfloat162_rn(sums[j][2 * half], sums[j][2 * half + 1]);
      if (out != nullptr) *reinterpret_cast<uint4*>(out + first + quarter * 8) = pack;
    }
  }
}

}  // namespace rehyat::ops::cuda
