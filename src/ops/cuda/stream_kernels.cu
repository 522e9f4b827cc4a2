// The residual stream's steps: a gated sum, a LayerNorm that is modulated or weighted, or the one behind the other.
#include "ops/cuda/row_device.cuh"

namespace rehyat::ops::cuda {
namespace {

/// The sample's numbers of the thread's columns; `otherwise` where there are none.
__device__ inline Wide of_sample(const SampleVector& vector, int column, float otherwise) {
  if (vector.values != nullptr) return read(vector.values + blockIdx.y * vector.stride + column);
  Wide wide;
#pragma unroll
  for (float& value : wide.values) value = otherwise;
  return wide;
}

template <typename T, bool kNorm>
__global__ void __launch_bounds__(kMostThreads) stream_forward(StreamArguments args) {
  __shared__ float places[BlockSums<1>::kPlaces];
  BlockSums<1> sums(places);
  const int column = static_cast<int>(threadIdx.x) * kColumns, width = static_cast<int>(args.shape.width);
  const bool active = column < width;
  const float share = 1.0f / static_cast<float>(width);
  const bool adds = args.update != nullptr;
  Wide gate = {}, scale = {}, shift = {};
  if (active) {
    if (adds) gate = of_sample(args.gate, column, 1);
    if (kNorm) {
      scale = of_sample(args.norm.scale, column, 0);
      shift = of_sample(args.norm.shift, column, 0);
    }
  }
  for (std::int64_t row = blockIdx.x; row < args.shape.rows; row += gridDim.x) {
    const std::int64_t line = blockIdx.y * args.shape.rows + row, place = line * width + column;
    Wide y = {};
    if (active) {
      y = read(args.x + place);
      if (adds) {
        const Wide update = read(static_cast<const T*>(args.update) + place);
#pragma unroll
        for (int c = 0; c < kColumns; ++c) y.values[c] += update.values[c] * gate.values[c];
        write(y, args.y + place);
      }
    }
    if constexpr (kNorm) {
      float sum[1] = {0};
#pragma unroll
      for (const float value : y.values) sum[0] += value;
      sums.add(sum);
      const float mean = sum[0] * share;
      float squares[1] = {0};
#pragma unroll
      for (float& value : y.values) {
        value -= mean;
        squares[0] += value * value;
      }
      if (!active) squares[0] = 0;
      sums.add(squares);
      const float factor = rsqrtf(squares[0] * share + args.norm.eps);
      if (active) {
#pragma unroll
        for (int c = 0; c < kColumns; ++c)
          y.values[c] = y.values[c] * factor * (args.norm.offset + scale.values[c]) + shift.values[c];
        write(y, static_cast<T*>(args.normed) + place);
      }
      if (threadIdx.x == 0 && args.mean != nullptr) {
        args.mean[line] = mean;
        args.factor[line] = factor;
      }
    }
  }
}

template <typename T, bool kNorm>
__global__ void __launch_bounds__(kMostThreads) stream_backward(StreamGradients args) {
  __shared__ float places[BlockSums<2>::kPlaces];
  BlockSums<2> sums(places);
  const int column = static_cast<int>(threadIdx.x) * kColumns, width = static_cast<int>(args.shape.width);
  const bool active = column < width;
  const float share = 1.0f / static_cast<float>(width);
  Wide gate = {}, slope = {}, dgate = {}, dscale = {}, dshift = {};
  if (active) {
    if (args.dupdate != nullptr) gate = of_sample(args.gate, column, 1);
    if (kNorm) slope = of_sample(args.norm.scale, column, 0);
#pragma unroll
    for (float& value : slope.values) value += args.norm.offset;
  }
  for (std::int64_t row = blockIdx.x; row < args.shape.rows; row += gridDim.x) {
    const std::int64_t line = blockIdx.y * args.shape.rows + row, place = line * width + column;
    Wide d = {}, update = {};
    if (active && args.dy != nullptr) d = read(args.dy + place);
    if (active && args.dgate != nullptr) update = read(static_cast<const T*>(args.update) + place);
    if constexpr (kNorm) {
      Wide dnormed = {}, y = {};
      if (active) {
        dnormed = read(static_cast<const T*>(args.dnormed) + place);
        y = read(args.y + place);
      }
      const float mean = args.mean[line], factor = args.factor[line];
      float both[2] = {0, 0};
#pragma unroll
      for (int c = 0; c < kColumns; ++c) {
        const float plain = (y.values[c] - mean) * factor, slant = dnormed.values[c] * slope.values[c];
        dscale.values[c] += dnormed.values[c] * plain;
        dshift.values[c] += dnormed.values[c];
        both[0] += slant;
        both[1] += slant * plain;
        y.values[c] = plain;
        dnormed.values[c] = slant;
      }
      sums.add(both);
      const float level = both[0] * share, tilt = both[1] * share;
#pragma unroll
      for (int c = 0; c < kColumns; ++c) d.values[c] += factor * (dnormed.values[c] - level - y.values[c] * tilt);
    }
    if (!active) continue;
    if (args.dx != nullptr) write(d, args.dx + place);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      dgate.values[c] += d.values[c] * update.values[c];
      d.values[c] *= gate.values[c];
    }
    if (args.dupdate != nullptr) write(d, static_cast<T*>(args.dupdate) + place);
  }
  if (!active) return;
  const std::int64_t part = (static_cast<std::int64_t>(blockIdx.y) * gridDim.x + blockIdx.x) * width + column;
  if (args.dgate != nullptr) write(dgate, args.dgate + part);
  if (args.dscale != nullptr) write(dscale, args.dscale + part);
  if (args.dshift != nullptr) write(dshift, args.dshift + part);
}

}  // namespace

bool serves_row_width(std::int64_t width) {
  return width > 0 && width % kColumns == 0 && width <= kColumns * kMostThreads;
}

std::int64_t row_parts(const RowShape& shape) {
  constexpr std::int64_t kBlocksOfProcessor = 8;
  int device = 0, processors = 1;
  cudaGetDevice(&device);
  cudaDeviceGetAttribute(&processors, cudaDevAttrMultiProcessorCount, device);
  return std::clamp<std::int64_t>(kBlocksOfProcessor * processors / std::max<std::int64_t>(1, shape.samples), 1,
                                  std::max<std::int64_t>(1, shape.rows));
}

const char* launch_stream(const StreamArguments& arguments, void* stream) {
  if (arguments.shape.rows * arguments.shape.samples == 0) return nullptr;
  return for_row_type(arguments.type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    const auto kernel = arguments.normed != nullptr ? stream_forward<T, true> : stream_forward<T, false>;
    kernel<<<row_grid(arguments.shape), row_threads(arguments.shape), 0, static_cast<cudaStream_t>(stream)>>>(
        arguments);
  });
}

const char* launch_stream_backward(const StreamGradients& arguments, void* stream) {
  return for_row_type(arguments.type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    const auto kernel = arguments.dnormed != nullptr ? stream_backward<T, true> : stream_backward<T, false>;
    kernel<<<row_grid(arguments.shape), row_threads(arguments.shape), 0, static_cast<cudaStream_t>(stream)>>>(
        arguments);
  });
}

}  // namespace rehyat::ops::cuda
