// GELU in its tanh form, which is x sigmoid(2 u) with u = sqrt(2/pi) (x + 0.044715 x^3). A warp has 256 columns.
#include "ops/cuda/row_device.cuh"

namespace rehyat::ops::cuda {
namespace {

constexpr int kRowsAtOnce = 8;
constexpr std::int64_t kGeluBlocks = 2048;  // of a launch, about: some waves of every card that we know

struct Gelu {
  float value, slope;
};

__device__ inline Gelu gelu_of(float x) {
  constexpr float kTwice = 1.5957691216f, kCube = 0.044715f;  // 2 sqrt(2/pi)
  const float square = x * x, share = __fdividef(1, 1 + __expf(-kTwice * x * (1 + kCube * square)));
  return {x * share, share + x * share * (1 - share) * kTwice * (1 + 3 * kCube * square)};
}

template <typename T>
__global__ void __launch_bounds__(kWarp* kRowsAtOnce) gelu_forward(std::int64_t rows, int width, const T* x, T* y) {
  const int column = static_cast<int>(blockIdx.y * kWarp + threadIdx.x) * kColumns;
  if (column >= width) return;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kRowsAtOnce;
#pragma unroll 2
  for (std::int64_t row = blockIdx.x * kRowsAtOnce + threadIdx.y; row < rows; row += step) {
    Wide v = read(x + row * width + column);
#pragma unroll
    for (float& value : v.values) value = gelu_of(value).value;
    write(v, y + row * width + column);
  }
}

template <typename T>
__global__ void __launch_bounds__(kWarp* kRowsAtOnce)
    gelu_backward(std::int64_t rows, int width, const T* x, const T* dy, T* dx, T* y, float* bias_parts) {
  __shared__ float partial[kRowsAtOnce][kWarp * kColumns];
  const int lane = static_cast<int>(threadIdx.x), column = static_cast<int>(blockIdx.y * kWarp + lane) * kColumns;
  const bool active = column < width;
  const std::int64_t step = static_cast<std::int64_t>(gridDim.x) * kRowsAtOnce;
  Wide sum = {};
  for (std::int64_t row = blockIdx.x * kRowsAtOnce + threadIdx.y; active && row < rows; row += step) {
    const std::int64_t place = row * width + column;
    Wide v = read(x + place), g = read(dy + place);
#pragma unroll
    for (int c = 0; c < kColumns; ++c) {
      const Gelu both = gelu_of(v.values[c]);
      g.values[c] *= both.slope;
      sum.values[c] += g.values[c];
      v.values[c] = both.value;
    }
    write(g, dx + place);
    if (y != nullptr) write(v, y + place);
  }
  if (bias_parts == nullptr) return;
  write(sum, &partial[threadIdx.y][lane * kColumns]);
  __syncthreads();
  const int mine = static_cast<int>(threadIdx.y) * kWarp + lane, at = static_cast<int>(blockIdx.y) * kWarp * kColumns;
  if (at + mine >= width) return;
  float total = 0;
#pragma unroll
  for (int row = 0; row < kRowsAtOnce; ++row) total += partial[row][mine];
  bias_parts[static_cast<std::int64_t>(blockIdx.x) * width + at + mine] = total;
}

unsigned tiles_of(std::int64_t width) {
  return static_cast<unsigned>((width + kWarp * kColumns - 1) / (kWarp * kColumns));
}

}  // namespace

std::int64_t gelu_parts(std::int64_t rows, std::int64_t width) {
  return std::clamp<std::int64_t>(kGeluBlocks / tiles_of(width), 1,
                                  std::max<std::int64_t>(1, (rows + kRowsAtOnce - 1) / kRowsAtOnce));
}

const char* launch_gelu(std::int64_t rows, std::int64_t width, RowType type, const void* x, void* y, void* stream) {
  if (rows == 0) return nullptr;
  const dim3 grid(static_cast<unsigned>(gelu_parts(rows, width)), tiles_of(width)), block(kWarp, kRowsAtOnce);
  return for_row_type(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    gelu_forward<T><<<grid, block, 0, static_cast<cudaStream_t>(stream)>>>(
        rows, static_cast<int>(width), static_cast<const T*>(x), static_cast<T*>(y));
  });
}

const char* launch_gelu_backward(std::int64_t rows, std::int64_t width, RowType type, const void* x, const void* dy,
                                 void* dx, void* y, float* bias_parts, void* stream) {
  const dim3 grid(static_cast<unsigned>(gelu_parts(rows, width)), tiles_of(width)), block(kWarp, kRowsAtOnce);
  return for_row_type(type, [&](auto* tag) {
    using T = std::remove_pointer_t<decltype(tag)>;
    gelu_backward<T><<<grid, block, 0, static_cast<cudaStream_t>(stream)>>>(
        rows, static_cast<int>(width), static_cast<const T*>(x), static_cast<const T*>(dy), static_cast<T*>(dx),
        static_cast<T*>(y), bias_parts);
  });
}

}  // namespace rehyat::ops::cuda
