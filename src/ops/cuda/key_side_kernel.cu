#include <cuda_runtime.h>

#include <algorithm>

#include "ops/cuda/branch_launch.cuh"
#include "ops/cuda/branch_rows.cuh"
#include "ops/cuda/key_side_kernel.h"

namespace rehyat::ops::cuda {
namespace {

constexpr int kStateThreads = 512, kTokens = 32, kStateStages = 3;
constexpr int kFeatureWarps = 4, kColumnWarps = 4;

/// A stage of tokens: their features and values, each row an odd number of 16 bytes, so that eight rows lie in
/// different banks.
template <int kFeatures, int kWidth>
struct TokenStage {
  static constexpr int kPhiStride = 2 * (kFeatures + 8), kValueStride = 2 * (kWidth + 8);
  static constexpr int kValues = kTokens * kPhiStride, kBytes = kTokens * (kPhiStride + kValueStride);
};

/// The share of all sums that a warp keeps: kFeatures / 4 features times kWidth / 4 columns, and z of those features.
template <int kFeatures, int kWidth>
struct StateSums {
  static constexpr int kStrips = kFeatures / kFeatureWarps / 16, kTiles = kWidth / kColumnWarps / 8;
  float sums[kStrips][kTiles][4] = {}, z[kStrips][4] = {};
};

/// `rows` of kColumns values from `first` on into a stage; zeros from `end` on.
template <int kColumns>
__device__ inline void fetch_rows(std::uint32_t to, int stride, const __nv_bfloat16* from, std::int64_t row_stride,
                                  std::int64_t first, std::int64_t end) {
  constexpr int kPieces = kColumns / 8;
  for (int i = static_cast<int>(threadIdx.x); i < kTokens * kPieces; i += kStateThreads) {
    const int row = i / kPieces, piece = i % kPieces;
    const std::int64_t token = first + row;
    copy_async(to + static_cast<std::uint32_t>(row * stride + piece * 16),
               from + min(token, end - 1) * row_stride + piece * 8, token < end);
  }
}

template <int kFeatures, int kWidth, bool kWeighted>
__device__ inline void add_stage(std::uint32_t stage, StateSums<kFeatures, kWidth>& mine) {
  using Stage = TokenStage<kFeatures, kWidth>;
  using Sums = StateSums<kFeatures, kWidth>;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int feature = warp % kFeatureWarps * (kFeatures / kFeatureWarps);
  const int column = warp / kFeatureWarps * (kWidth / kColumnWarps);
#pragma unroll
  for (int step = 0; step < kTokens / 16; ++step) {
    std::uint32_t a[Sums::kStrips][4];
    const int token = step * 16 + lane / 16 * 8 + lane % 8;
#pragma unroll
    for (int m = 0; m < Sums::kStrips; ++m)
      load_matrices_turned(a[m], stage + token * Stage::kPhiStride + (feature + m * 16 + lane / 8 % 2 * 8) * 2);
    const std::uint32_t values = stage + Stage::kValues + (step * 16 + lane % 16) * Stage::kValueStride;
#pragma unroll
    for (int n = 0; n < Sums::kTiles; n += 2) {
      std::uint32_t b[4];
      load_matrices_turned(b, values + (column + (n + lane / 16) * 8) * 2);
#pragma unroll
      for (int m = 0; m < Sums::kStrips; ++m) {
        multiply_add<__nv_bfloat16>(mine.sums[m][n], a[m], b[0], b[1]);
        multiply_add<__nv_bfloat16>(mine.sums[m][n + 1], a[m], b[2], b[3]);
      }
    }
    if (column != 0) continue;
    std::uint32_t last[2];
    if constexpr (kWeighted) {
      load_two_matrices_turned(last, values + kWidth * 2);
    } else {
      last[0] = last[1] = lane / 4 == 0 ? 0x3f803f80u : 0;  // 1 in the first column
    }
#pragma unroll
    for (int m = 0; m < Sums::kStrips; ++m) multiply_add<__nv_bfloat16>(mine.z[m], a[m], last[0], last[1]);
  }
}

template <int kFeatures, int kWidth>
__device__ inline void store_sums(float* out, const StateSums<kFeatures, kWidth>& mine) {
  using Sums = StateSums<kFeatures, kWidth>;
  constexpr int kColumns = kWidth + 8;
  const int lane = static_cast<int>(threadIdx.x) % 32, warp = static_cast<int>(threadIdx.x) / 32;
  const int feature = warp % kFeatureWarps * (kFeatures / kFeatureWarps) + lane / 4;
  const int column = warp / kFeatureWarps * (kWidth / kColumnWarps);
  const auto store = [&](int row, int at, float x, float y) {
    *reinterpret_cast<float2*>(out + row * kColumns + at + lane % 4 * 2) = make_float2(x, y);
  };
#pragma unroll
  for (int m = 0; m < Sums::kStrips; ++m) {
#pragma unroll
    for (int half = 0; half < 2; ++half) {
      const int row = feature + m * 16 + half * 8;
#pragma unroll
      for (int n = 0; n < Sums::kTiles; ++n)
        store(row, column + n * 8, mine.sums[m][n][2 * half], mine.sums[m][n][2 * half + 1]);
      if (column == 0) store(row, kWidth, mine.z[m][2 * half], mine.z[m][2 * half + 1]);
    }
  }
}

/// One block a state (or a part of its rows).
template <int kFeatures, int kWidth, bool kWeighted>
__global__ void __launch_bounds__(kStateThreads, 1) sum_states(const __grid_constant__ StateArguments args) {
  using Stage = TokenStage<kFeatures, kWidth>;
  extern __shared__ __align__(128) unsigned char storage[];
  const std::int64_t head = blockIdx.y, i = blockIdx.z, split = blockIdx.x, rows = args.sizes.rows;
  const std::int64_t share = ((rows + args.splits - 1) / args.splits + kTokens - 1) / kTokens * kTokens;
  const std::int64_t begin = min(split * share, rows), end = min(begin + share, rows);
  const int stages = static_cast<int>((end - begin + kTokens - 1) / kTokens);
  const std::uint32_t memory = shared_address(storage);
  const __nv_bfloat16 *phi = row_of(args.phi, i, head, 0), *v = row_of(args.v, i, head, 0);
  const auto fetch = [&](int number) {
    if (number < stages) {
      const std::uint32_t to = memory + number % kStateStages * Stage::kBytes;
      const std::int64_t first = begin + static_cast<std::int64_t>(number) * kTokens;
      fetch_rows<kFeatures>(to, Stage::kPhiStride, phi, args.phi.row, first, end);
      fetch_rows<kWeighted ? kWidth + 8 : kWidth>(to + Stage::kValues, Stage::kValueStride, v, args.v.row, first, end);
    }
    commit_copies();
  };
#pragma unroll
  for (int number = 0; number < kStateStages - 1; ++number) fetch(number);
  StateSums<kFeatures, kWidth> mine;
  for (int number = 0; number < stages; ++number) {
    wait_copies<kStateStages - 2>();
    __syncthreads();  // the stage is whole, and no warp reads the one that is fetched next
    fetch(number + kStateStages - 1);
    add_stage<kFeatures, kWidth, kWeighted>(memory + number % kStateStages * Stage::kBytes, mine);
  }
  wait_copies<0>();
  store_sums<kFeatures, kWidth>(
      args.states.data + split * args.split + i * args.states.rectangle + head * args.states.head, mine);
}

template <int kFeatures, int kWidth, bool kWeighted>
const char* launch_sums(const StateArguments& args, cudaStream_t stream) {
  constexpr int kBytes = kStateStages * TokenStage<kFeatures, kWidth>::kBytes;
  const auto kernel = sum_states<kFeatures, kWidth, kWeighted>;
  cudaError_t error = allow_shared_memory(kernel, kBytes);
  if (error != cudaSuccess) return cudaGetErrorString(error);
  const dim3 grid(static_cast<unsigned>(args.splits), static_cast<unsigned>(args.sizes.heads),
                  static_cast<unsigned>(args.sizes.count));
  kernel<<<grid, kStateThreads, kBytes, stream>>>(args);
  error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

template <int kWidth>
__device__ inline void store_row(__nv_bfloat16* out, int half, const float (&sums)[kWidth / 8][4]) {
  const int quarter = static_cast<int>(threadIdx.x) % 4;
#pragma unroll
  for (int u = 0; u < kWidth / 32; ++u) {
    uint4 pack;
    __nv_bfloat162* pairs = reinterpret_cast<__nv_bfloat162*>(&pack);
#pragma unroll
    for (int j = 0; j < 4; ++j)
      pairs[j] = __floats2bfloat162_rn(sums[u * 4 + j][2 * half], sums[u * 4 + j][2 * half + 1]);
    *reinterpret_cast<uint4*>(out + u * 32 + quarter * 8) = pack;
  }
}

template <int kFeatures, int kWidth>
constexpr int kKeyGradientBytes = StateTile<kFeatures, kWidth>::kBytes +
                                  kBranchWarps*(LaneStore<kFeatures>::kBytes + LaneStore<kWidth>::kBytes);

template <int kFeatures, int kWidth>
__global__ void __launch_bounds__(kBranchThreads, 1) key_gradients(const __grid_constant__ KeyGradientArguments args) {
  extern __shared__ __align__(128) unsigned char storage[];
  constexpr int kWarpBytes = LaneStore<kFeatures>::kBytes + LaneStore<kWidth>::kBytes;
  unsigned char* mine = storage + StateTile<kFeatures, kWidth>::kBytes + threadIdx.x / 32 * kWarpBytes;
  const LaneStore<kFeatures> phi_store(mine);
  const LaneStore<kWidth> v_store(mine + LaneStore<kFeatures>::kBytes);
  const StateTile<kFeatures, kWidth> state{shared_address(storage)};
  const bool values = args.d_v.data != nullptr;
  const BlockTiles tiles(args.sizes);
  const auto fetch_v = [&](int number) {
    if (number < tiles.end) {
      const LaneRows at = tiles.rows(args.sizes, number);
      v_store.fetch(row_of(args.v, at.rectangle, at.head, at.low_read),
                    row_of(args.v, at.rectangle, at.head, at.high_read));
    }
    commit_copies();
  };
  const auto fetch_phi = [&](int number) {
    if (number < tiles.end && values) {
      const LaneRows at = tiles.rows(args.sizes, number);
      phi_store.fetch(row_of(args.phi, at.rectangle, at.head, at.low_read),
                      row_of(args.phi, at.rectangle, at.head, at.high_read));
    }
    commit_copies();
  };
  fetch_v(tiles.begin);
  fetch_phi(tiles.begin);
  int loaded = -1;
  for (int number = tiles.begin; number < tiles.end; ++number) {
    const LaneRows at = tiles.rows(args.sizes, number);
    const auto out = [&at](const BranchRows& x, int half) {
      return row_of(x, at.rectangle, at.head, half == 0 ? at.low : at.high);
    };
    if (number / tiles.tiles != loaded) {
      loaded = number / tiles.tiles;
      load_state<kFeatures, kWidth>(
          storage, args.states.data + at.rectangle * args.states.rectangle + at.head * args.states.head);
    }
    wait_copies<1>();
    {
      RowFragment<kWidth> v;
      v_store.take(v);
      fetch_v(number + 1);
      feature_gradients<kFeatures, kWidth>(v, 1, 1, storage, at.low_inside ? out(args.d_phi, 0) : nullptr,
                                           at.high_inside ? out(args.d_phi, 1) : nullptr);
    }
    wait_copies<1>();
    if (values) {
      RowFragment<kFeatures> phi;
      phi_store.take(phi);
      fetch_phi(number + 1);
      float sums[kWidth / 8][4] = {};
      state_product<kFeatures, kWidth, false>(phi, state, sums);
      if (at.low_inside) store_row<kWidth>(out(args.d_v, 0), 0, sums);
      if (at.high_inside) store_row<kWidth>(out(args.d_v, 1), 1, sums);
    } else {
      commit_copies();
    }
  }
  wait_copies<0>();
}

}  // namespace

bool serves_branch(std::int64_t features, std::int64_t width) {
  const bool wide = features == 256 && width == 128, narrow = features == 128 && width == 64;
  int device = 0, bytes = 0;
  if (!(wide || narrow) || cudaGetDevice(&device) != cudaSuccess) return false;
  cudaDeviceGetAttribute(&bytes, cudaDevAttrMaxSharedMemoryPerBlockOptin, device);
  return bytes >= (wide ? kKeyGradientBytes<256, 128> : kKeyGradientBytes<128, 64>);  // none takes more
}

int branch_processors() {
  int device = 0, processors = 1;
  if (cudaGetDevice(&device) == cudaSuccess)
    cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  return std::max(processors, 1);
}

std::int64_t state_splits(const BranchSizes& sizes) {
  constexpr std::int64_t kMost = 16, kShortest = 8 * kTokens;
  const std::int64_t states = sizes.count * sizes.heads, processors = sizes.processors;
  std::int64_t best = 1;
  double least = 1e30;
  for (std::int64_t splits = 1; splits <= std::clamp<std::int64_t>(sizes.rows / kShortest, 1, kMost); ++splits) {
    const std::int64_t rounds = (states * splits + processors - 1) / processors;
    const double time = static_cast<double>(rounds) / static_cast<double>(splits) + 0.02 * static_cast<double>(splits);
    if (time < least) best = splits;
    least = std::min(least, time);
  }
  return best;
}

const char* launch_states(const StateArguments& args, void* stream) {
  if (args.sizes.count == 0 || args.sizes.heads == 0) return nullptr;
  const auto on = static_cast<cudaStream_t>(stream);
  if (args.sizes.width == 128)
    return args.weighted ? launch_sums<256, 128, true>(args, on) : launch_sums<256, 128, false>(args, on);
  return args.weighted ? launch_sums<128, 64, true>(args, on) : launch_sums<128, 64, false>(args, on);
}

const char* launch_key_gradients(const KeyGradientArguments& args, void* stream) {
  return args.sizes.width == 128 ? launch_branch(key_gradients<256, 128>, kKeyGradientBytes<256, 128>, args, stream)
                                 : launch_branch(key_gradients<128, 64>, kKeyGradientBytes<128, 64>, args, stream);
}

}  // namespace rehyat::ops::cuda
