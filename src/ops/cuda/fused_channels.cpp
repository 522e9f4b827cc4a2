#include "ops/cuda/fused_channels.h"

#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "ops/cuda/channel_kernels.h"

namespace rehyat::ops {
namespace {

constexpr std::int64_t kVectorBytes = 16;

bool is_channel_type(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16 || type == at::kHalf;
}

cuda::Pixels pixels_of(const at::Tensor& x) {
  const at::ScalarType type = x.scalar_type();
  return {x.size(0), x.size(2) * x.size(3) * x.size(4), x.size(1),
          type == at::kBFloat16 ? cuda::ChannelType::bf16
          : type == at::kHalf   ? cuda::ChannelType::f16
                                : cuda::ChannelType::f32};
}

/// [C] or the like as dense float32; undefined stays so.
at::Tensor dense_floats(const at::Tensor& values) {
  return values.defined() ? values.detach().to(at::kFloat).contiguous() : values;
}

const float* address(const at::Tensor& values) {
  return values.defined() ? values.const_data_ptr<float>() : nullptr;
}

void* channel_stream() {
  return c10::cuda::getCurrentCUDAStream().stream();
}

void check_started(const char* problem, const char* what) {
  TORCH_CHECK(problem == nullptr, what, ": the kernel could not be started: ", problem);
}

void check_like(const at::Tensor& x, const at::Tensor& y, const char* what) {
  TORCH_CHECK(x.sizes() == y.sizes() && x.scalar_type() == y.scalar_type(), what, ": found ", x.sizes(), " and ",
              y.sizes(), " of types ", x.scalar_type(), " and ", y.scalar_type(), ", expected the same");
}

void launch_norm(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& gamma, bool silu,
                 const cuda::NormTarget& target) {
  const c10::cuda::CUDAGuard guard(x.device());
  const at::Tensor b = dense_floats(bias), g = dense_floats(gamma);
  check_started(cuda::launch_channel_norm(pixels_of(x), x.const_data_ptr(), x.stride(0), address(b), address(g), silu,
                                          target, channel_stream()),
                "channel_norm");
}

}  // namespace

bool serves_channels(const at::Tensor& x) {
  if (!x.is_cuda() || x.dim() != 5 || !is_channel_type(x.scalar_type())) return false;
  const std::int64_t c = x.size(1), vector = kVectorBytes / static_cast<std::int64_t>(x.element_size());
  const auto lies = [&](std::int64_t dim, std::int64_t stride) { return x.size(dim) == 1 || x.stride(dim) == stride; };
  return c % vector == 0 && c / vector <= cuda::kMostChannelVectors && lies(1, 1) && lies(4, c) &&
         lies(3, c * x.size(4)) && lies(2, c * x.size(4) * x.size(3)) &&
         (x.size(0) == 1 || x.stride(0) % vector == 0) && x.storage_offset() % vector == 0;
}

void fused_channel_norm(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& gamma, bool silu,
                        const at::Tensor& y) {
  check_like(x, y, "channel_norm");
  launch_norm(x, bias, gamma, silu, {.y = y.data_ptr(), .stride = y.stride(0), .pixel = y.size(1)});
}

void fused_stacked_norm(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& gamma, bool silu,
                        const at::Tensor& stack) {
  const std::int64_t channels = x.size(1), parts = stack.size(4), frame = x.size(3) * x.size(4),
                     pixel = parts * channels;
  TORCH_CHECK(stack.is_contiguous() && stack.scalar_type() == x.scalar_type(), "stacked_channel_norm: found strides ",
              stack.strides(), " of type ", stack.scalar_type(), ", expected a contiguous tensor of type ",
              x.scalar_type());
  // A frame is the last part of its own stack, the one before of the next stack, and so on.
  auto* last =
      static_cast<char*>(stack.data_ptr()) + (parts - 1) * channels * static_cast<std::int64_t>(x.element_size());
  launch_norm(x, bias, gamma, silu,
              {.y = last,
               .stride = stack.stride(0),
               .pixel = pixel,
               .copies = static_cast<int>(parts),
               .step = frame * pixel - channels,
               .frame = frame});
}

void fused_biased_sum(const at::Tensor& x, const at::Tensor& update, const at::Tensor& bias) {
  check_like(x, update, "biased_sum");
  const c10::cuda::CUDAGuard guard(x.device());
  const at::Tensor b = dense_floats(bias);
  check_started(cuda::launch_biased_sum(pixels_of(x), x.const_data_ptr(), x.stride(0), address(b), update.data_ptr(),
                                        update.stride(0), channel_stream()),
                "biased_sum");
}

at::Tensor fused_doubled_frames(const at::Tensor& x, const at::Tensor& bias, std::int64_t k) {
  const c10::cuda::CUDAGuard guard(x.device());
  const std::int64_t vector = kVectorBytes / static_cast<std::int64_t>(x.element_size());
  TORCH_CHECK(x.size(1) / k % vector == 0, "doubled_frames: found ", x.size(1) / k,
              " channels, expected a multiple of ", vector);
  const at::Tensor b = dense_floats(bias);
  at::Tensor y = at::empty({x.size(0), x.size(1) / k, k * x.size(2), 2 * x.size(3), 2 * x.size(4)},
                           x.options().memory_format(at::MemoryFormat::ChannelsLast3d));
  check_started(cuda::launch_doubled_frames(pixels_of(x), x.const_data_ptr(), x.stride(0), address(b), k, x.size(3),
                                            x.size(4), y.data_ptr(), channel_stream()),
                "doubled_frames");
  return y;
}

}  // namespace rehyat::ops
