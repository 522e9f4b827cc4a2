#include <cuda_runtime.h>

#include "ops/cuda/blend_rule.cuh"
#include "ops/cuda/branch_launch.cuh"
#include "ops/cuda/branch_rows.cuh"
#include "ops/cuda/query_side_kernel.h"

namespace rehyat::ops::cuda {
namespace {

constexpr float kMostExponent = 80;  // a sum of thousands still fits float32

/// One row of a lane's two: `half` says which. All lanes of a row compute the same weights.
template <int kWidth>
__device__ inline void blend_row(const QuerySideArguments& args, std::int64_t i, std::int64_t head, std::int64_t row,
                                 int half, const LaneStore<kWidth>& o, const float (&sums)[kWidth / 8 + 1][4],
                                 float n) {
  const int quarter = static_cast<int>(threadIdx.x) % 4;
  const float c = args.row_max.data != nullptr ? *value_of(args.row_max, i, head, row) : 0;
  const bool alone = args.rule == BlendRule::linear;
  const Weights w = weigh(args.rule, alone ? 0 : *value_of(args.lse, i, head, row), n, c);
  __nv_bfloat16* y = row_of(args.y, i, head, row);
#pragma unroll
  for (int u = 0; u < kWidth / 32; ++u) {
    uint4 pack = {0, 0, 0, 0};
    if (!alone) pack = half == 0 ? o.low(u) : o.high(u);
    __nv_bfloat162* pairs = reinterpret_cast<__nv_bfloat162*>(&pack);
    if (n != 0 || alone) {
#pragma unroll
      for (int j = 0; j < 4; ++j) {
        const float2 soft = __bfloat1622float2(pairs[j]);
        const float* a = sums[u * 4 + j] + 2 * half;
        pairs[j] = __floats2bfloat162_rn(w.soft * soft.x + w.linear * (a[0] / w.divisor),
                                         w.soft * soft.y + w.linear * (a[1] / w.divisor));
      }
    }
    *reinterpret_cast<uint4*>(y + u * 32 + quarter * 8) = pack;
  }
  if (quarter != 0) return;
  if (args.log_l.data != nullptr) *value_of(args.log_l, i, head, row) = w.log_l;
  if (args.log_z.data != nullptr) *value_of(args.log_z, i, head, row) = w.log_z;
  if (args.scale.data != nullptr) *value_of(args.scale, i, head, row) = w.scale;
  if (w.bad) atomicAdd(args.bad_rows, 1);
}

template <int kFeatures, int kWidth>
constexpr int kQuerySideBytes = StateTile<kFeatures, kWidth>::kBytes +
                                kBranchWarps*(LaneStore<kFeatures>::kBytes + LaneStore<kWidth>::kBytes);

template <int kFeatures, int kWidth>
__global__ void __launch_bounds__(kBranchThreads, 1) query_side(const __grid_constant__ QuerySideArguments args) {
  extern __shared__ __align__(128) unsigned char storage[];
  constexpr int kWarpBytes = LaneStore<kFeatures>::kBytes + LaneStore<kWidth>::kBytes;
  unsigned char* mine = storage + StateTile<kFeatures, kWidth>::kBytes + threadIdx.x / 32 * kWarpBytes;
  const LaneStore<kFeatures> phi_store(mine);
  const LaneStore<kWidth> o_store(mine + LaneStore<kFeatures>::kBytes);
  const StateTile<kFeatures, kWidth> state{shared_address(storage)};
  const BlockTiles tiles(args.sizes);
  const auto fetch_phi = [&](int number) {
    if (number < tiles.end) {
      const LaneRows at = tiles.rows(args.sizes, number);
      phi_store.fetch(row_of(args.phi, at.rectangle, at.head, at.low_read),
                      row_of(args.phi, at.rectangle, at.head, at.high_read));
    }
    commit_copies();
  };
  const auto fetch_o = [&](int number) {
    if (number < tiles.end && args.rule != BlendRule::linear) {
      const LaneRows at = tiles.rows(args.sizes, number);
      o_store.fetch(row_of(args.o, at.rectangle, at.head, at.low_read),
                    row_of(args.o, at.rectangle, at.head, at.high_read));
    }
    commit_copies();
  };
  fetch_phi(tiles.begin);
  fetch_o(tiles.begin);
  int loaded = -1;
  for (int number = tiles.begin; number < tiles.end; ++number) {
    const LaneRows at = tiles.rows(args.sizes, number);
    if (number / tiles.tiles != loaded) {
      loaded = number / tiles.tiles;
      load_state<kFeatures, kWidth>(
          storage, args.states.data + at.rectangle * args.states.rectangle + at.head * args.states.head);
    }
    RowFragment<kFeatures> phi;
    wait_copies<1>();
    phi_store.take(phi);
    fetch_phi(number + 1);
    float sums[kWidth / 8 + 1][4] = {};
    state_product<kFeatures, kWidth, true>(phi, state, sums);
    const int first = static_cast<int>(threadIdx.x) % 32 / 4 * 4;  // of the lanes of a row: it has z's column
    const float n_low = __shfl_sync(0xffffffffu, sums[kWidth / 8][0], first);
    const float n_high = __shfl_sync(0xffffffffu, sums[kWidth / 8][2], first);
    wait_copies<1>();
    if (at.low_inside) blend_row<kWidth>(args, at.rectangle, at.head, at.low, 0, o_store, sums, n_low);
    if (at.high_inside) blend_row<kWidth>(args, at.rectangle, at.head, at.high, 1, o_store, sums, n_high);
    __syncwarp();
    fetch_o(number + 1);
  }
  wait_copies<0>();
}

__device__ inline float dot(const uint4& a, const uint4& b) {
  const __nv_bfloat162* x = reinterpret_cast<const __nv_bfloat162*>(&a);
  const __nv_bfloat162* y = reinterpret_cast<const __nv_bfloat162*>(&b);
  float sum = 0;
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 p = __bfloat1622float2(x[i]), q = __bfloat1622float2(y[i]);
    sum += p.x * q.x + p.y * q.y;
  }
  return sum;
}

__device__ inline void scale_pack(uint4& pack, float w) {
  __nv_bfloat162* pairs = reinterpret_cast<__nv_bfloat162*>(&pack);
#pragma unroll
  for (int i = 0; i < 4; ++i) {
    const float2 p = __bfloat1622float2(pairs[i]);
    pairs[i] = __floats2bfloat162_rn(w * p.x, w * p.y);
  }
}

/// Of a row whose quarter this lane has: y . dy of all of it, its weight in the values, and -w (y . dy).
template <int kWidth>
__device__ inline float weigh_row(const QueryGradientArguments& args, std::int64_t i, std::int64_t head,
                                  std::int64_t row, bool inside, const uint4 (&y)[kWidth / 32],
                                  uint4 (&dy)[kWidth / 32]) {
  float delta = 0;
#pragma unroll
  for (int u = 0; u < kWidth / 32; ++u) delta += dot(y[u], dy[u]);
  delta += __shfl_xor_sync(0xffffffffu, delta, 1);
  delta += __shfl_xor_sync(0xffffffffu, delta, 2);
  float w = args.scale.data == nullptr ? 1 : *value_of(args.scale, i, head, row);
  if (args.log_z.data != nullptr) w *= expf(fminf(-*value_of(args.log_z, i, head, row), kMostExponent));
#pragma unroll
  for (int u = 0; u < kWidth / 32; ++u) scale_pack(dy[u], w);
  if (inside) {
    const int quarter = static_cast<int>(threadIdx.x) % 4;
    __nv_bfloat16* out = row_of(args.weighted, i, head, row);
#pragma unroll
    for (int u = 0; u < kWidth / 32; ++u) *reinterpret_cast<uint4*>(out + u * 32 + quarter * 8) = dy[u];
    if (quarter == 0) {
      uint4 rest = {0, 0, 0, 0};
      *reinterpret_cast<__nv_bfloat16*>(&rest) = __float2bfloat16(-w * delta);
      *reinterpret_cast<uint4*>(out + kWidth) = rest;
    }
  }
  return -w * delta;
}

template <int kFeatures, int kWidth>
constexpr int kQueryGradientBytes = StateTile<kFeatures, kWidth>::kBytes + kBranchWarps * 2 * LaneStore<kWidth>::kBytes;

template <int kFeatures, int kWidth>
__global__ void __launch_bounds__(kBranchThreads, 1)
    query_gradients(const __grid_constant__ QueryGradientArguments args) {
  extern __shared__ __align__(128) unsigned char storage[];
  unsigned char* mine =
      storage + StateTile<kFeatures, kWidth>::kBytes + threadIdx.x / 32 * 2 * LaneStore<kWidth>::kBytes;
  const LaneStore<kWidth> dy_store(mine), y_store(mine + LaneStore<kWidth>::kBytes);
  const bool wanted = args.d_phi.data != nullptr;
  const BlockTiles tiles(args.sizes);
  const auto fetch = [&](int number) {
    if (number < tiles.end) {
      const LaneRows at = tiles.rows(args.sizes, number);
      dy_store.fetch(row_of(args.dy, at.rectangle, at.head, at.low_read),
                     row_of(args.dy, at.rectangle, at.head, at.high_read));
      y_store.fetch(row_of(args.y, at.rectangle, at.head, at.low_read),
                    row_of(args.y, at.rectangle, at.head, at.high_read));
    }
    commit_copies();
  };
  fetch(tiles.begin);
  int loaded = -1;
  for (int number = tiles.begin; number < tiles.end; ++number) {
    const LaneRows at = tiles.rows(args.sizes, number);
    if (wanted && number / tiles.tiles != loaded) {
      loaded = number / tiles.tiles;
      load_state<kFeatures, kWidth>(
          storage, args.states.data + at.rectangle * args.states.rectangle + at.head * args.states.head);
    }
    RowFragment<kWidth> dy, y;
    wait_copies<0>();
    dy_store.take(dy);
    y_store.take(y);
    fetch(number + 1);
    const float dn_low = weigh_row<kWidth>(args, at.rectangle, at.head, at.low_read, at.low_inside, y.low, dy.low);
    const float dn_high = weigh_row<kWidth>(args, at.rectangle, at.head, at.high_read, at.high_inside, y.high, dy.high);
    if (wanted)
      feature_gradients<kFeatures, kWidth>(
          dy, dn_low, dn_high, storage, at.low_inside ? row_of(args.d_phi, at.rectangle, at.head, at.low) : nullptr,
          at.high_inside ? row_of(args.d_phi, at.rectangle, at.head, at.high) : nullptr);
  }
  wait_copies<0>();
}

}  // namespace

const char* launch_query_side(const QuerySideArguments& args, void* stream) {
  return args.sizes.width == 128 ? launch_branch(query_side<256, 128>, kQuerySideBytes<256, 128>, args, stream)
                                 : launch_branch(query_side<128, 64>, kQuerySideBytes<128, 64>, args, stream);
}

const char* launch_query_gradients(const QueryGradientArguments& args, void* stream) {
  return args.sizes.width == 128 ? launch_branch(query_gradients<256, 128>, kQueryGradientBytes<256, 128>, args, stream)
                                 : launch_branch(query_gradients<128, 64>, kQueryGradientBytes<128, 64>, args, stream);
}

}  // namespace rehyat::ops::cuda
