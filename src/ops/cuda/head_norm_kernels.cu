// RMSNorm over the whole row and RoPE within each head.
#include "ops/cuda/row_device.cuh"

namespace rehyat::ops::cuda {
namespace {

constexpr int kPairs = kColumns / 2;

/// A thread's place in a row: its columns lie in one head.
struct HeadPlace {
  int column, head, within;
  bool active;
  __device__ HeadPlace(int width, int head_width)
      : column(static_cast<int>(threadIdx.x) * kColumns),
        head(column / head_width),
        within(column % head_width),
        active(column < width) {}
  __device__ std::int64_t of(const HeadLayout& layout, std::int64_t row) const {
    return blockIdx.y * layout.batch + head * layout.head + row * layout.row + within;
  }
  __device__ std::int64_t dense(const HeadLayout& layout, std::int64_t row) const {
    return blockIdx.y * layout.batch + row * layout.row + column;
  }
};

struct Angles {
  float4 cos, sin;
  __device__ Angles(const float* cosines, const float* sines, std::int64_t row, int half_width, int within) {
    const std::int64_t place = row * half_width + within / 2;
    cos = *reinterpret_cast<const float4*>(cosines + place);
    sin = *reinterpret_cast<const float4*>(sines + place);
  }
  /// Turns pairs forwards (way 1) or backwards (way -1).
  __device__ void turn(Wide& v, float way) const {
    const float c[kPairs] = {cos.x, cos.y, cos.z, cos.w}, s[kPairs] = {sin.x, sin.y, sin.z, sin.w};
#pragma unroll
    for (int i = 0; i < kPairs; ++i) {
      const float even = v.values[2 * i], odd = v.values[2 * i + 1];
      v.values[2 * i] = even * c[i] - way * odd * s[i];
      v.values[2 * i + 1] = way * even * s[i] + odd * c[i];
    }
  }
};

template <typename T>
__global__ void __launch_bounds__(kMostThreads) head_norm(HeadNormArguments args) {
  __shared__ float places[BlockSums<1>::kPlaces];
  BlockSums<1> sums(places);
  const int width = static_cast<int>(args.shape.width), head_width = static_cast<int>(args.head_width);
  const HeadPlace at(width, head_width);
  const float share = 1.0f / static_cast<float>(width);
  const Wide weight = at.active ? read(args.weight + at.column) : Wide{};
  for (std::int64_t row = blockIdx.x; row < args.shape.rows; row += gridDim.x) {
    const std::int64_t line = blockIdx.y * args.shape.rows + row;
    Wide x = {};
    if (at.active) x = read(static_cast<const T*>(args.x) + at.dense(args.x_layout, row));
    float squares[1] = {0};
#pragma unroll
    for (const float value : x.values) squares[0] += value * value;
    sums.add(squares);
    const float factor = rsqrtf(squares[0] * share + args.eps);
    if (threadIdx.x == 0 && args.factor != nullptr) args.factor[line] = factor;
    if (!at.active) continue;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) x.values[c] *= factor * weight.values[c];
    if (args.cos != nullptr) Angles(args.cos, args.sin, row, head_width / 2, at.within).turn(x, 1);
    write(x, static_cast<T*>(args.y) + line * width + at.column);
  }
}

template <typename T>
__global__ void __launch_bounds__(kMostThreads) head_norm_backward(HeadNormGradients args) {
  __shared__ float places[BlockSums<1>::kPlaces];
  BlockSums<1> sums(places);
  const int width = static_cast<int>(args.shape.width), head_width = static_cast<int>(args.head_width);
  const HeadPlace at(width, head_width);
  const float share = 1.0f / static_cast<float>(width);
  const Wide weight = at.active ? read(args.weight + at.column) : Wide{};
  Wide dweight = {};
  for (std::int64_t row = blockIdx.x; row < args.shape.rows; row += gridDim.x) {
    const std::int64_t line = blockIdx.y * args.shape.rows + row;
    const float factor = args.factor[line];
    Wide x = {}, g = {};
    if (at.active) {
      x = read(static_cast<const T*>(args.x) + at.dense(args.x_layout, row));
      g = read(static_cast<const T*>(args.dy) + at.of(args.dy_layout, row));
      if (args.more_dy != nullptr) {
        const Wide more = read(static_cast<const T*>(args.more_dy) + at.of(args.more_layout, row));
#pragma unroll
        for (int c = 0; c < kColumns; ++c) g.values[c] += more.values[c];
      }
      if (args.cos != nullptr) Angles(args.cos, args.sin, row, head_width / 2, at.within).turn(g, -1);
    }
    float tilts[1] = {0};
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      x.values[c] *= factor;
      dweight.values[c] += g.values[c] * x.values[c];
      g.values[c] *= weight.values[c];
      tilts[0] += g.values[c] * x.values[c];
    }
    if (args.dx == nullptr) continue;
    sums.add(tilts);
    if (!at.active) continue;
    const float tilt = tilts[0] * share;
#pragma unroll
    for (int c = 0; c < kColumns; ++c) g.values[c] = factor * (g.values[c] - x.values[c] * tilt);
    write(g, static_cast<T*>(args.dx) + line * width + at.column);
  }
  if (!at.active || args.dweight == nullptr) return;
  write(dweight, args.dweight + (static_cast<std::int64_t>(blockIdx.y) * gridDim.x + blockIdx.x) * width + at.column);
}

}  // namespace

const char* launch_head_norm(const HeadNormArguments& arguments, void* stream) {
  if (arguments.shape.rows * arguments.shape.samples == 0) return nullptr;
  return for_row_type(arguments.type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    head_norm<T>
        <<<row_grid(arguments.shape), row_threads(arguments.shape), 0, static_cast<cudaStream_t>(stream)>>>(arguments);
  });
}

const char* launch_head_norm_backward(const HeadNormGradients& arguments, void* stream) {
  return for_row_type(arguments.type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    head_norm_backward<T>
        <<<row_grid(arguments.shape), row_threads(arguments.shape), 0, static_cast<cudaStream_t>(stream)>>>(arguments);
  });
}

}  // namespace rehyat::ops::cuda
