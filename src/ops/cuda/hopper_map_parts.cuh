#pragma once

#include <cuda_bf16.h>
#include <cuda_runtime.h>
#include <cutlass/arch/barrier.h>

#include <cstdint>
#include <cute/arch/copy_sm90_tma.hpp>
#include <cute/arch/mma_sm90_desc.hpp>
#include <cute/arch/mma_sm90_gmma.hpp>
#include <utility>

#include "ops/cuda/feature_map_hopper.h"

/// What the Hopper kernels of a feature map share: the image of the weights in shared memory, products of a warpgroup's
/// 64 rows with it, and the functions between them.
///
/// A warpgroup has 64 rows. Of a product with 256 columns each thread has rows r and r + 8 and, in each group of 32
/// columns, the eight places 8j + 2t + i (j < 4, i < 2, t = lane % 4). In memory these are to be the eight columns
/// 8t .. 8t+7, read and written as 16 bytes. So the place 32g + 8j + 2t + i stands for the column 32g + 8t + 2j + i, in
/// the hidden layer, the features and x alike; the image of the weights is permuted to suit.
namespace rehyat::ops::cuda::hopper {

namespace gmma = cute::SM90::GMMA;

constexpr int kTileRows = 64, kGroupThreads = 128, kGroups = 2, kThreads = kGroups * kGroupThreads;
constexpr int kRowBytes = 128;                 // of a row of the image: 64 numbers, swizzled by 16 bytes
constexpr int kBlockBytes = 256 * kRowBytes;   // of 256 output places and 64 input places
constexpr int kFirstBytes = 2 * kBlockBytes;   // [128 -> 256]
constexpr int kSecondBytes = 4 * kBlockBytes;  // [256 -> 256]
constexpr int kBiasBytes = 2 * 256 * 4;        // of both layers, float32, by column
constexpr int kImageBytes = kFirstBytes + kSecondBytes + kBiasBytes;
constexpr int kSharedBytes = kImageBytes + 16;  // the barrier of the copy lies behind the image

__host__ __device__ constexpr int column_of_place(int place) {
  return place / 32 * 32 + place % 8 / 2 * 8 + place % 32 / 8 * 2 + place % 2;
}
__host__ __device__ constexpr int place_of_column(int column) {
  return column / 32 * 32 + column % 8 / 2 * 8 + column % 32 / 8 * 2 + column % 2;
}

/// A block of the image as the B operand with its input places as K: blocks of 8 rows are 1024 bytes apart.
__device__ inline std::uint64_t forward_operand(std::uint32_t address) {
  return (std::uint64_t{1} << 62) | (std::uint64_t{1024 >> 4} << 32) | (std::uint64_t{1} << 16) | (address >> 4);
}

/// The same numbers transposed: output places are K, and 64 input places a block of N.
__device__ inline std::uint64_t transposed_operand(std::uint32_t address) {
  return (std::uint64_t{1} << 62) | (std::uint64_t{1024 >> 4} << 32) | (std::uint64_t{kBlockBytes >> 4} << 16) |
         (address >> 4);
}

template <class Atom, std::size_t... I>
__device__ inline void multiply(const std::uint32_t* a, std::uint64_t b, float (&acc)[sizeof...(I)], gmma::ScaleOut old,
                                std::index_sequence<I...>) {
  Atom::fma(a[0], a[1], a[2], a[3], b, acc[I]..., old);
}

using WideForward = gmma::MMA_64x256x16_F32BF16BF16_RS<gmma::Major::K, gmma::Major::K>;
using WideTransposed = gmma::MMA_64x256x16_F32BF16BF16_RS<gmma::Major::K, gmma::Major::MN>;
using NarrowTransposed = gmma::MMA_64x128x16_F32BF16BF16_RS<gmma::Major::K, gmma::Major::MN>;

template <int N>
__device__ inline void keep_in_registers(float (&acc)[N]) {
#pragma unroll
  for (int i = 0; i < N; ++i) cute::warpgroup_fence_operand(acc[i]);
}

/// acc += a W, where a has 16 * kSteps input places; only started.
template <int kSteps>
__device__ inline void start_forward(const std::uint32_t* a, std::uint32_t weights, float (&acc)[128]) {
  keep_in_registers(acc);
  cute::warpgroup_arrive();
#pragma unroll
  for (int s = 0; s < kSteps; ++s)
    multiply<WideForward>(a + 4 * s, forward_operand(weights + s / 4 * kBlockBytes + s % 4 * 32), acc,
                          gmma::ScaleOut::One, std::make_index_sequence<128>());
  cute::warpgroup_commit_batch();
}

/// acc = a W', where a has the 256 output places of W, and W' 2 N (256 or 128) input places. Only started.
template <class Atom, int N>
__device__ inline void start_transposed(const std::uint32_t* a, std::uint32_t weights, float (&acc)[N]) {
  keep_in_registers(acc);
  cute::warpgroup_arrive();
#pragma unroll
  for (int s = 0; s < 16; ++s)
    multiply<Atom>(a + 4 * s, transposed_operand(weights + s * 2048), acc,
                   s == 0 ? gmma::ScaleOut::Zero : gmma::ScaleOut::One, std::make_index_sequence<N>());
  cute::warpgroup_commit_batch();
}

template <int N>
__device__ inline void finish_product(float (&acc)[N]) {
  cute::warpgroup_wait<0>();
  keep_in_registers(acc);
}

/// The product's first value is its bias.
__device__ inline void begin_with_bias(const float* bias, int t, float (&acc)[128]) {
#pragma unroll
  for (int c = 0; c < 16; ++c) {
    const float4 b = *reinterpret_cast<const float4*>(bias + c / 2 * 32 + t * 8 + c % 2 * 4);
    acc[8 * c + 0] = acc[8 * c + 2] = b.x;
    acc[8 * c + 1] = acc[8 * c + 3] = b.y;
    acc[8 * c + 4] = acc[8 * c + 6] = b.z;
    acc[8 * c + 5] = acc[8 * c + 7] = b.w;
  }
}

__device__ inline std::uint32_t packed(float low, float high) {
  const __nv_bfloat162 both = __floats2bfloat162_rn(low, high);
  return *reinterpret_cast<const std::uint32_t*>(&both);
}
__device__ inline float low_of(std::uint32_t both) {
  return __uint_as_float(both << 16);
}
__device__ inline float high_of(std::uint32_t both) {
  return __uint_as_float(both & 0xffff0000u);
}

/// The share of a normal distribution below x: an odd polynomial between -4.5 and 4.5 that reaches 0 and 1 there (the
/// least error of x times it, 4e-5, under that condition; a bf16 number near 4 is exact to 8e-3).
__device__ inline float normal_share(float x) {
  const float c = fminf(fmaxf(x, -4.5f), 4.5f), s = c * c;
  float p = 3.0000144810038e-11f;
  p = fmaf(p, s, -3.2839187235669005e-09f);
  p = fmaf(p, s, 1.5802594403668973e-07f);
  p = fmaf(p, s, -4.431688866526864e-06f);
  p = fmaf(p, s, 8.120975739683534e-05f);
  p = fmaf(p, s, -0.0010362535749362657f);
  p = fmaf(p, s, 0.009580654415667153f);
  p = fmaf(p, s, -0.06597727133725657f);
  p = fmaf(p, s, 0.3987085744399786f);
  return __saturatef(fmaf(p, c, 0.5f));
}

struct Both {
  float value, slope;
};

template <Activation how>
__device__ inline float activated(float x) {
  if constexpr (how == Activation::gelu) return x * normal_share(x);
  if constexpr (how == Activation::silu) return __fdividef(x, 1 + __expf(-x));
  return fmaxf(x, 0.0f);
}

template <Activation how>
__device__ inline Both activated_with_slope(float x) {
  if constexpr (how == Activation::gelu) {
    const float share = normal_share(x);
    return {x * share, fmaf(x * 0.39894228f, __expf(-0.5f * x * x), share)};
  }
  if constexpr (how == Activation::silu) {
    const float share = __fdividef(1, 1 + __expf(-x));
    return {x * share, share * (1 + x * (1 - share))};
  }
  return {fmaxf(x, 0.0f), x > 0 ? 1.0f : 0.0f};
}

/// log(1 + e) for 0 <= e <= 1, relative error 1e-5.
__device__ inline float log_of_one_more(float e) {
  float p = -0.02386928248184014f;
  p = fmaf(p, e, 0.10122296359731296f);
  p = fmaf(p, e, -0.21004969183749336f);
  p = fmaf(p, e, 0.3252072629252759f);
  p = fmaf(p, e, -0.4993614955450876f);
  p = fmaf(p, e, 0.9999916061593074f);
  return p * e;
}

template <NonNegative how>
__device__ inline float made_nonnegative(float x) {
  if constexpr (how == NonNegative::softplus) return fmaxf(x, 0.0f) + log_of_one_more(__expf(-fabsf(x)));
  if constexpr (how == NonNegative::relu) return fmaxf(x, 0.0f);
  if constexpr (how == NonNegative::exp) return __expf(x);
  return x;
}

template <NonNegative how>
__device__ inline Both made_nonnegative_with_slope(float x) {
  if constexpr (how == NonNegative::softplus) {
    const float e = __expf(-fabsf(x)), share = __fdividef(1, 1 + e);
    return {fmaxf(x, 0.0f) + log_of_one_more(e), x > 0 ? share : e * share};
  }
  if constexpr (how == NonNegative::relu) return {fmaxf(x, 0.0f), x > 0 ? 1.0f : 0.0f};
  if constexpr (how == NonNegative::exp) {
    const float e = __expf(x);
    return {e, e};
  }
  return {x, 1.0f};
}

/// Calls f with the setting as a constant: the choice is made once a tile and not once a number.
template <class F>
__device__ inline void with_activation(Activation how, F f) {
  if (how == Activation::gelu)
    f(std::integral_constant<Activation, Activation::gelu>());
  else if (how == Activation::silu)
    f(std::integral_constant<Activation, Activation::silu>());
  else
    f(std::integral_constant<Activation, Activation::relu>());
}
template <class F>
__device__ inline void with_sign(NonNegative how, F f) {
  if (how == NonNegative::softplus)
    f(std::integral_constant<NonNegative, NonNegative::softplus>());
  else if (how == NonNegative::relu)
    f(std::integral_constant<NonNegative, NonNegative::relu>());
  else if (how == NonNegative::exp)
    f(std::integral_constant<NonNegative, NonNegative::exp>());
  else
    f(std::integral_constant<NonNegative, NonNegative::none>());
}

/// The two warpgroups use the tensor cores in turns, so that one multiplies while the other computes what stands
/// between products. The second gives the first its first turn.
struct Turns {
  int group;
  __device__ explicit Turns(int g) : group(g) {
    if (group == 1) give(0);
  }
  __device__ void take() const { asm volatile("bar.sync %0, 256;" ::"r"(1 + group) : "memory"); }
  __device__ void pass() const { give(1 - group); }
  __device__ static void give(int to) { asm volatile("bar.arrive %0, 256;" ::"r"(1 + to) : "memory"); }
};

/// The image of a head's weights in shared memory.
struct Image {
  std::uint32_t first, second;
  const float *first_bias, *second_bias;
  unsigned char* bytes;
  std::uint64_t* ready;
  std::uint32_t phase = 0;

  __device__ explicit Image(unsigned char* shared) : bytes(shared) {
    first = cute::cast_smem_ptr_to_uint(shared);
    second = first + kFirstBytes;
    first_bias = reinterpret_cast<const float*>(shared + kFirstBytes + kSecondBytes);
    second_bias = first_bias + 256;
    ready = reinterpret_cast<std::uint64_t*>(shared + kImageBytes);
    if (threadIdx.x == 0) cutlass::arch::ClusterBarrier::init(ready, 1);
    cutlass::arch::fence_barrier_init();
    __syncthreads();
  }

  /// Waits for all threads, which have to be through with the image that was there.
  __device__ void load(const unsigned char* image) {
    __syncthreads();
    if (threadIdx.x == 0) {
      cutlass::arch::ClusterTransactionBarrier::arrive_and_expect_tx(ready, kImageBytes);
      for (int part = 0; part < kImageBytes; part += kBlockBytes)
        cute::SM90_BULK_COPY_G2S::copy(image + part, ready, bytes + part,
                                       kImageBytes - part < kBlockBytes ? kImageBytes - part : kBlockBytes);
    }
    cutlass::arch::ClusterBarrier::wait(ready, phase);
    phase ^= 1;
  }
};

/// The share of all tiles that a block of threads has, head by head: `tile` counts tiles of 64 tokens, samples within
/// a head.
struct Share {
  std::int64_t tile, end;
  std::int64_t tiles_of_sample, tiles_of_head;
  __device__ explicit Share(const HopperShape& shape) {
    tiles_of_sample = (shape.tokens + kTileRows - 1) / kTileRows;
    tiles_of_head = tiles_of_sample * shape.batch;
    const std::int64_t all = tiles_of_head * shape.heads;
    tile = all * blockIdx.x / gridDim.x;
    end = all * (blockIdx.x + 1) / gridDim.x;
  }
  __device__ std::int64_t head() const { return tile / tiles_of_head; }
  /// Where the block's tiles of the present head end.
  __device__ std::int64_t head_end() const {
    const std::int64_t next = (head() + 1) * tiles_of_head;
    return next < end ? next : end;
  }
};

/// The two rows of a thread in a tile; a row that is not there is neither read nor written.
struct TileRows {
  std::int64_t sample, head, token;
  bool low, high;
  __device__ TileRows(const HopperShape& shape, const Share& share, std::int64_t tile, bool there) {
    head = tile / share.tiles_of_head;
    const std::int64_t within = tile - head * share.tiles_of_head;
    sample = within / share.tiles_of_sample;
    token = (within - sample * share.tiles_of_sample) * kTileRows + threadIdx.x % kGroupThreads / 32 * 16 +
            threadIdx.x % 32 / 4;
    low = there && token < shape.tokens;
    high = there && token + 8 < shape.tokens;
  }
  /// The thread's first eight numbers of row `token`.
  template <typename T = __nv_bfloat16>
  __device__ T* of(const HopperRows& rows) const {
    return static_cast<T*>(rows.data) + sample * rows.batch_stride + head * rows.head_stride +
           token * rows.token_stride + threadIdx.x % 4 * 8;
  }
};

__device__ inline uint4 load_or_zero(const __nv_bfloat16* from, bool there) {
  return there ? __ldg(reinterpret_cast<const uint4*>(from)) : make_uint4(0, 0, 0, 0);
}

/// Rows of 32 * kParts numbers as the A operand of a product.
template <int kParts>
__device__ inline void load_operand(const __nv_bfloat16* from, std::int64_t token_stride, const TileRows& rows,
                                    std::uint32_t (&a)[8 * kParts]) {
#pragma unroll
  for (int g = 0; g < kParts; ++g) {
    const uint4 low = load_or_zero(from + 32 * g, rows.low);
    const uint4 high = load_or_zero(from + 8 * token_stride + 32 * g, rows.high);
    a[8 * g + 0] = low.x, a[8 * g + 2] = low.y, a[8 * g + 4] = low.z, a[8 * g + 6] = low.w;
    a[8 * g + 1] = high.x, a[8 * g + 3] = high.y, a[8 * g + 5] = high.z, a[8 * g + 7] = high.w;
  }
}

/// The same numbers back to memory.
template <int kParts>
__device__ inline void store_operand(const std::uint32_t (&a)[8 * kParts], const TileRows& rows, __nv_bfloat16* to,
                                     std::int64_t token_stride) {
#pragma unroll
  for (int g = 0; g < kParts; ++g) {
    const std::uint32_t* part = a + 8 * g;
    if (rows.low) *reinterpret_cast<uint4*>(to + 32 * g) = make_uint4(part[0], part[2], part[4], part[6]);
    if (rows.high)
      *reinterpret_cast<uint4*>(to + 8 * token_stride + 32 * g) = make_uint4(part[1], part[3], part[5], part[7]);
  }
}

}  // namespace rehyat::ops::cuda::hopper
