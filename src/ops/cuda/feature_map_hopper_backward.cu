// The gradient of one map down to x: everything of the forward pass is computed again. What the weights' gradients need
// is written for the kernel in feature_map_hopper_weights.cu. See hopper_map_parts.cuh for how a tile lies in the
// threads.
#include "ops/cuda/feature_map_hopper.h"
#include "ops/cuda/hopper_map_parts.cuh"

namespace rehyat::ops::cuda {
namespace {

using namespace hopper;

struct BackwardWork {
  HopperShape shape;
  HopperRows x, dy, dx, hidden, dhidden, dfeatures;
  const unsigned char* image;
  Activation activation;
  NonNegative sign;
};

/// One row part of 32 columns of both rows: eight registers, as in an A operand.
struct RowPart {
  uint4 low, high;
  __device__ std::uint32_t word(int i) const {
    const uint4& row = i % 2 == 0 ? low : high;
    return i / 2 == 0 ? row.x : i / 2 == 1 ? row.y : i / 2 == 2 ? row.z : row.w;
  }
};

__device__ inline RowPart load_part(const __nv_bfloat16* from, std::int64_t token_stride, const TileRows& rows, int g) {
  return {load_or_zero(from + 32 * g, rows.low), load_or_zero(from + 8 * token_stride + 32 * g, rows.high)};
}

__device__ inline void store_part(const std::uint32_t* a, const TileRows& rows, __nv_bfloat16* to,
                                  std::int64_t token_stride, int g) {
  if (rows.low) *reinterpret_cast<uint4*>(to + 32 * g) = make_uint4(a[0], a[2], a[4], a[6]);
  if (rows.high) *reinterpret_cast<uint4*>(to + 8 * token_stride + 32 * g) = make_uint4(a[1], a[3], a[5], a[7]);
}

/// The hidden layer of a product: in registers as the next operand, in memory for the weights' gradient; and the
/// activation's slopes for later, where the gradient of the hidden layer will come to lie.
template <Activation how>
__device__ inline void hidden_of(const float (&acc)[128], std::uint32_t (&hidden)[64], const TileRows& rows,
                                 const BackwardWork& work) {
  __nv_bfloat16 *values = rows.of(work.hidden), *kept = rows.of(work.dhidden);
#pragma unroll
  for (int g = 0; g < 8; ++g) {
    std::uint32_t slopes[8];
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      const Both a = activated_with_slope<how>(acc[16 * g + 2 * i]);
      const Both b = activated_with_slope<how>(acc[16 * g + 2 * i + 1]);
      hidden[8 * g + i] = packed(a.value, b.value);
      slopes[i] = packed(a.slope, b.slope);
    }
    store_part(hidden + 8 * g, rows, values, work.hidden.token_stride, g);
    store_part(slopes, rows, kept, work.dhidden.token_stride, g);
  }
}

constexpr int kAhead = 3;  // parts of dy and of the slopes that are on their way

/// The gradient of the second product, in registers and in memory.
template <NonNegative how>
__device__ inline void gradient_of_features(const float (&acc)[128], RowPart (&dy)[8], std::uint32_t (&gradient)[64],
                                            const TileRows& rows, const BackwardWork& work) {
  __nv_bfloat16* to = rows.of(work.dfeatures);
  const __nv_bfloat16* from = rows.of(work.dy);
#pragma unroll
  for (int g = 0; g < 8; ++g) {
    if (g + kAhead < 8) dy[g + kAhead] = load_part(from, work.dy.token_stride, rows, g + kAhead);
#pragma unroll
    for (int i = 0; i < 8; ++i) {
      Both a = made_nonnegative_with_slope<how>(acc[16 * g + 2 * i]);
      Both b = made_nonnegative_with_slope<how>(acc[16 * g + 2 * i + 1]);
      if (g >= 4) a.slope *= 2 * a.value, b.slope *= 2 * b.value;  // squares
      gradient[8 * g + i] = packed(a.slope * low_of(dy[g].word(i)), b.slope * high_of(dy[g].word(i)));
    }
    store_part(gradient + 8 * g, rows, to, work.dfeatures.token_stride, g);
  }
}

/// The gradient of the first product.
__device__ inline void gradient_of_hidden(const float (&acc)[128], RowPart (&slopes)[8], std::uint32_t (&gradient)[64],
                                          const TileRows& rows, const BackwardWork& work) {
  __nv_bfloat16* to = rows.of(work.dhidden);
#pragma unroll
  for (int g = 0; g < 8; ++g) {
    if (g + kAhead < 8) slopes[g + kAhead] = load_part(to, work.dhidden.token_stride, rows, g + kAhead);
#pragma unroll
    for (int i = 0; i < 8; ++i)
      gradient[8 * g + i] =
          packed(acc[16 * g + 2 * i] * low_of(slopes[g].word(i)), acc[16 * g + 2 * i + 1] * high_of(slopes[g].word(i)));
    store_part(gradient + 8 * g, rows, to, work.dhidden.token_stride, g);
  }
}

__device__ inline void store_dx(const float (&acc)[64], const TileRows& rows, const BackwardWork& work) {
  std::uint32_t out[32];
#pragma unroll
  for (int i = 0; i < 32; ++i) out[i] = packed(acc[2 * i], acc[2 * i + 1]);
  store_operand<4>(out, rows, rows.of(work.dx), work.dx.token_stride);
}

__global__ void __launch_bounds__(kThreads, 1) gradients_of(const __grid_constant__ BackwardWork work) {
  extern __shared__ __align__(1024) unsigned char shared[];
  Image image(shared);
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads, t = static_cast<int>(threadIdx.x) % 4;
  const Turns turns(group);
  for (Share share(work.shape); share.tile < share.end;) {
    const std::int64_t last = share.head_end();
    image.load(work.image + share.head() * kImageBytes);
    for (std::int64_t pair = share.tile; pair < last; pair += kGroups) {
      const TileRows rows(work.shape, share, pair + group, pair + group < last);
      std::uint32_t operand[64];
      float acc[128];
      {
        std::uint32_t x[32];
        load_operand<4>(rows.of(work.x), work.x.token_stride, rows, x);
        begin_with_bias(image.first_bias, t, acc);
        turns.take();
        start_forward<8>(x, image.first, acc);
        turns.pass();
        finish_product(acc);
      }
      with_activation(work.activation, [&](auto how) { hidden_of<how.value>(acc, operand, rows, work); });
      RowPart ahead[8];
      begin_with_bias(image.second_bias, t, acc);
      turns.take();
      start_forward<16>(operand, image.second, acc);
      turns.pass();
#pragma unroll
      for (int g = 0; g < kAhead; ++g) ahead[g] = load_part(rows.of(work.dy), work.dy.token_stride, rows, g);
      finish_product(acc);
      with_sign(work.sign, [&](auto how) { gradient_of_features<how.value>(acc, ahead, operand, rows, work); });
      turns.take();
      start_transposed<WideTransposed>(operand, image.second, acc);
      turns.pass();
#pragma unroll
      for (int g = 0; g < kAhead; ++g) ahead[g] = load_part(rows.of(work.dhidden), work.dhidden.token_stride, rows, g);
      finish_product(acc);
      gradient_of_hidden(acc, ahead, operand, rows, work);
      if (work.dx.data != nullptr) {
        float narrow[64];
        turns.take();
        start_transposed<NarrowTransposed>(operand, image.first, narrow);
        turns.pass();
        finish_product(narrow);
        store_dx(narrow, rows, work);
      }
    }
    share.tile = last;
  }
}

}  // namespace

const char* launch_hopper_backward(const HopperShape& shape, const HopperRows& x, const HopperRows& dy,
                                   const void* image, Activation activation, NonNegative sign, const HopperRows& dx,
                                   const HopperGradients& parts, int device, void* stream) {
  int processors = 1;
  cudaError_t error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error == cudaSuccess)
    error = cudaFuncSetAttribute(gradients_of, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes);
  if (error != cudaSuccess) return cudaGetErrorString(error);
  const std::int64_t pairs =
      (shape.batch * shape.heads * ((shape.tokens + kTileRows - 1) / kTileRows) + kGroups - 1) / kGroups;
  gradients_of<<<static_cast<unsigned>(pairs < processors ? pairs : processors), kThreads, kSharedBytes,
                 static_cast<cudaStream_t>(stream)>>>(
      BackwardWork{shape, x, dy, dx, parts.hidden, parts.dhidden, parts.dfeatures,
                   static_cast<const unsigned char*>(image), activation, sign});
  error = cudaGetLastError();
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace rehyat::ops::cuda
