// See hopper_map_parts.cuh for how a tile lies in the threads.
#include "ops/cuda/feature_map_hopper.h"
#include "ops/cuda/hopper_map_parts.cuh"

namespace rehyat::ops::cuda {
namespace {

using namespace hopper;

/// A thread writes 16 bytes of the image, the weights of eight input places and one output place; the threads of a warp
/// read adjoining columns.
__global__ void pack(HopperWeights weights, unsigned char* image) {
  constexpr int kFirstChunks = kFirstBytes / 16, kChunks = (kFirstBytes + kSecondBytes) / 16;
  const int head = static_cast<int>(blockIdx.y), index = static_cast<int>(blockIdx.x * blockDim.x + threadIdx.x);
  unsigned char* mine = image + static_cast<std::int64_t>(head) * kImageBytes;
  if (index >= kChunks) {
    const int i = index - kChunks;
    if (i < 512)
      reinterpret_cast<float*>(mine + kFirstBytes + kSecondBytes)[i] =
          i < 256 ? weights.first_bias[head * 256 + i] : weights.second_bias[head * 256 + i - 256];
    return;
  }
  const bool is_first = index < kFirstChunks;
  const int chunk = is_first ? index : index - kFirstChunks;
  const int column = chunk % 256, eight = chunk / 256, place = place_of_column(column);
  const std::int64_t base = static_cast<std::int64_t>(head) * (is_first ? 128 : 256) * 256 + column;
  const auto* from = static_cast<const unsigned short*>(is_first ? weights.first : weights.second) + base;
  std::uint32_t words[4];
#pragma unroll
  for (int w = 0; w < 4; ++w) {
    const int row = column_of_place(eight * 8 + 2 * w);  // the next place is the next row
    words[w] = from[row * 256] | static_cast<std::uint32_t>(from[(row + 1) * 256]) << 16;
  }
  unsigned char* to =
      mine + (is_first ? 0 : kFirstBytes) + eight / 8 * kBlockBytes + place * kRowBytes + (eight % 8 ^ place % 8) * 16;
  *reinterpret_cast<uint4*>(to) = make_uint4(words[0], words[1], words[2], words[3]);
}

struct ForwardWork {
  HopperShape shape;
  HopperRows x, y;
  const unsigned char* image;
  Activation activation;
  NonNegative sign;
};

template <NonNegative how>
__device__ inline void store_features(float (&acc)[128], const TileRows& rows, const HopperRows& y) {
  std::uint32_t out[64];
#pragma unroll
  for (int i = 0; i < 64; ++i) {
    float low = made_nonnegative<how>(acc[2 * i]), high = made_nonnegative<how>(acc[2 * i + 1]);
    if (i >= 32) low *= low, high *= high;  // the second slice of 128 features
    out[i] = packed(low, high);
  }
  store_operand<8>(out, rows, rows.of(y), y.token_stride);
}

__global__ void __launch_bounds__(kThreads, 1) features_of(const __grid_constant__ ForwardWork work) {
  extern __shared__ __align__(1024) unsigned char shared[];
  Image image(shared);
  const int group = static_cast<int>(threadIdx.x) / kGroupThreads, t = static_cast<int>(threadIdx.x) % 4;
  const Turns turns(group);
  for (Share share(work.shape); share.tile < share.end;) {
    const std::int64_t last = share.head_end();
    image.load(work.image + share.head() * kImageBytes);
    std::uint32_t x[32];
    {
      const TileRows rows(work.shape, share, share.tile + group, share.tile + group < last);
      load_operand<4>(rows.of(work.x), work.x.token_stride, rows, x);
    }
    for (std::int64_t pair = share.tile; pair < last; pair += kGroups) {
      const std::int64_t mine = pair + group;
      float acc[128];
      begin_with_bias(image.first_bias, t, acc);
      turns.take();
      start_forward<8>(x, image.first, acc);
      turns.pass();
      finish_product(acc);
      std::uint32_t hidden[64];
      with_activation(work.activation, [&](auto how) {
#pragma unroll
        for (int i = 0; i < 64; ++i)
          hidden[i] = packed(activated<how.value>(acc[2 * i]), activated<how.value>(acc[2 * i + 1]));
      });
      begin_with_bias(image.second_bias, t, acc);
      turns.take();
      start_forward<16>(hidden, image.second, acc);
      turns.pass();
      finish_product(acc);
      {
        const TileRows next(work.shape, share, mine + kGroups, mine + kGroups < last);
        load_operand<4>(next.of(work.x), work.x.token_stride, next, x);
      }
      const TileRows rows(work.shape, share, mine, mine < last);
      with_sign(work.sign, [&](auto how) { store_features<how.value>(acc, rows, work.y); });
    }
    share.tile = last;
  }
}

const char* problem_of(cudaError_t error) {
  return error == cudaSuccess ? nullptr : cudaGetErrorString(error);
}

}  // namespace

bool hopper_map_serves(int device) {
  int major = 0, minor = 0;
  if (cudaDeviceGetAttribute(&major, cudaDevAttrComputeCapabilityMajor, device) != cudaSuccess) return false;
  if (cudaDeviceGetAttribute(&minor, cudaDevAttrComputeCapabilityMinor, device) != cudaSuccess) return false;
  return major == 9 && minor == 0;
}

std::int64_t hopper_image_bytes() {
  return kImageBytes;
}

const char* launch_hopper_pack(const HopperWeights& weights, std::int64_t heads, void* image, void* stream) {
  constexpr int kWork = (kFirstBytes + kSecondBytes) / 16 + 512, kBlock = 256;
  pack<<<dim3((kWork + kBlock - 1) / kBlock, static_cast<unsigned>(heads)), kBlock, 0,
         static_cast<cudaStream_t>(stream)>>>(weights, static_cast<unsigned char*>(image));
  return problem_of(cudaGetLastError());
}

const char* launch_hopper_forward(const HopperShape& shape, const HopperRows& x, const void* image,
                                  Activation activation, NonNegative sign, const HopperRows& y, int device,
                                  void* stream) {
  int processors = 1;
  cudaError_t error = cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  if (error == cudaSuccess)
    error = cudaFuncSetAttribute(features_of, cudaFuncAttributeMaxDynamicSharedMemorySize, kSharedBytes);
  if (error != cudaSuccess) return problem_of(error);
  const std::int64_t pairs =
      (shape.batch * shape.heads * ((shape.tokens + kTileRows - 1) / kTileRows) + kGroups - 1) / kGroups;
  features_of<<<static_cast<unsigned>(pairs < processors ? pairs : processors), kThreads, kSharedBytes,
                static_cast<cudaStream_t>(stream)>>>(
      ForwardWork{shape, x, y, static_cast<const unsigned char*>(image), activation, sign});
  return problem_of(cudaGetLastError());
}

}  // namespace rehyat::ops::cuda
