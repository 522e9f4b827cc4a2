#include "ops/cuda/fused_hopper_map.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "ops/cuda/feature_map_hopper.h"

namespace rehyat::ops {
namespace {

using HopperContext = torch::autograd::AutogradContext;
using HopperList = torch::autograd::variable_list;

void* hopper_stream() {
  return c10::cuda::getCurrentCUDAStream().stream();
}

void hopper_started(const char* problem) {
  TORCH_CHECK(problem == nullptr, "feature map: the kernel could not be started: ", problem);
}

cuda::HopperShape hopper_shape(const at::Tensor& x) {
  return {x.size(0), x.size(1), x.size(2)};
}

/// The kernels write through the same struct, so that it has no const address.
cuda::HopperRows hopper_rows(const at::Tensor& rows) {
  return {rows.data_ptr(), rows.stride(0), rows.stride(1), rows.stride(2)};
}

/// Whether rows can be read 16 bytes at once. The stride of a dimension of size 1 is of no account, but is used.
bool lies_in_eights(const at::Tensor& rows) {
  const auto in_eights = [&](std::int64_t dim) { return rows.stride(dim) % 8 == 0; };
  return rows.stride(3) == 1 && in_eights(0) && in_eights(1) && in_eights(2) &&
         reinterpret_cast<std::uintptr_t>(rows.const_data_ptr()) % 16 == 0;
}

struct HopperSettings {
  Activation activation;
  NonNegative nonnegative;
  at::Tensor first, second;  ///< the weights in bf16
};

/// The weights and biases of all heads as the kernels want them: 200 KB a head, made anew in each pass.
at::Tensor packed_weights(const at::Tensor& first, const at::Tensor& second, const at::Tensor& first_bias,
                          const at::Tensor& second_bias) {
  const std::int64_t heads = first.size(0);
  const at::Tensor image = at::empty({heads, cuda::hopper_image_bytes()}, first.options().dtype(at::kByte));
  hopper_started(cuda::launch_hopper_pack({first.const_data_ptr(), second.const_data_ptr(),
                                           first_bias.const_data_ptr<float>(), second_bias.const_data_ptr<float>()},
                                          heads, image.data_ptr(), hopper_stream()));
  return image;
}

/// Inputs: x, both weights, both biases. Saved: x, the weights in bf16, the biases in float32.
class HopperMapFunction : public torch::autograd::Function<HopperMapFunction> {
 public:
  static at::Tensor forward(HopperContext* ctx, const at::Tensor& x, at::TensorList parameters,
                            const HopperSettings& settings) {
    const c10::cuda::CUDAGuard guard(x.device());
    const at::Tensor first = settings.first.contiguous(), second = settings.second.contiguous();
    const at::Tensor first_bias = parameters[2].to(at::kFloat).contiguous();
    const at::Tensor second_bias = parameters[3].to(at::kFloat).contiguous();
    const at::Tensor image = packed_weights(first, second, first_bias, second_bias);
    const at::Tensor y = at::empty({x.size(0), x.size(1), x.size(2), cuda::kHopperFeatures}, x.options());
    hopper_started(cuda::launch_hopper_forward(hopper_shape(x), hopper_rows(x), image.const_data_ptr(),
                                               settings.activation, settings.nonnegative, hopper_rows(y),
                                               x.device().index(), hopper_stream()));
    ctx->save_for_backward({x, first, second, first_bias, second_bias});
    ctx->saved_data["activation"] = static_cast<std::int64_t>(settings.activation);
    ctx->saved_data["nonnegative"] = static_cast<std::int64_t>(settings.nonnegative);
    return y;
  }

  static HopperList backward(HopperContext* ctx, HopperList upstream) {
    const HopperList saved = ctx->get_saved_variables();
    const at::Tensor& x = saved[0];
    const c10::cuda::CUDAGuard guard(x.device());
    const at::Tensor image = packed_weights(saved[1], saved[2], saved[3], saved[4]);
    const at::Tensor dy = lies_in_eights(upstream[0]) ? upstream[0] : upstream[0].contiguous();
    const auto layer = [&] { return at::empty({x.size(0), x.size(1), x.size(2), cuda::kHopperHidden}, x.options()); };
    const at::Tensor hidden = layer(), dhidden = layer(), dfeatures = layer();
    const cuda::HopperGradients parts{hopper_rows(hidden), hopper_rows(dhidden), hopper_rows(dfeatures)};
    HopperList grads(6);  // the last is of the settings
    cuda::HopperRows dx;
    if (ctx->needs_input_grad(0)) {
      grads[0] = at::empty_like(x);  // as x lies, like the gradient of attention that it is added to
      if (!lies_in_eights(grads[0])) grads[0] = at::empty(x.sizes(), x.options());
      dx = hopper_rows(grads[0]);
    }
    hopper_started(cuda::launch_hopper_backward(hopper_shape(x), hopper_rows(x), hopper_rows(dy),
                                                image.const_data_ptr(),
                                                static_cast<Activation>(ctx->saved_data["activation"].toInt()),
                                                static_cast<NonNegative>(ctx->saved_data["nonnegative"].toInt()), dx,
                                                parts, x.device().index(), hopper_stream()));
    const auto wanted = [&](std::size_t i) { return ctx->needs_input_grad(i); };
    if (wanted(1) || wanted(2) || wanted(3) || wanted(4)) sum_for_weights(x, parts, grads);
    return grads;
  }

 private:
  /// The gradients of weights and biases to places 1 to 4, in float32.
  static void sum_for_weights(const at::Tensor& x, const cuda::HopperGradients& parts, HopperList& grads) {
    const cuda::HopperShape shape = hopper_shape(x);
    const auto sums = [&](std::int64_t rows, std::int64_t columns) {
      return at::empty({shape.heads, rows, columns}, x.options().dtype(at::kFloat));
    };
    grads[1] = sums(cuda::kHopperWidth, cuda::kHopperHidden);
    grads[2] = sums(cuda::kHopperHidden, cuda::kHopperFeatures);
    grads[3] = sums(1, cuda::kHopperHidden);
    grads[4] = sums(1, cuda::kHopperFeatures);
    const at::Tensor shares =
        at::empty({cuda::hopper_share_bytes(shape, x.device().index())}, x.options().dtype(at::kByte));
    hopper_started(cuda::launch_hopper_weights(shape, hopper_rows(x), parts, shares.data_ptr(),
                                               {grads[1].data_ptr<float>(), grads[2].data_ptr<float>(),
                                                grads[3].data_ptr<float>(), grads[4].data_ptr<float>()},
                                               x.device().index(), hopper_stream()));
  }
};

}  // namespace

bool has_hopper_map(const at::Tensor& x, const PolyMap& map) {
  const auto shaped = [&](std::size_t layer, std::int64_t from, std::int64_t to) {
    const at::Tensor& weight = map.narrow_weights[layer];
    return weight.scalar_type() == at::kBFloat16 && weight.size(1) == from && weight.size(2) == to;
  };
  return x.is_cuda() && x.scalar_type() == at::kBFloat16 && x.numel() > 0 && map.narrow_weights.size() == 2 &&
         x.size(3) == cuda::kHopperWidth && map.slice_width == cuda::kHopperFeatures / 2 &&
         shaped(0, cuda::kHopperWidth, cuda::kHopperHidden) && shaped(1, cuda::kHopperHidden, cuda::kHopperFeatures) &&
         lies_in_eights(x) && cuda::hopper_map_serves(x.device().index());
}

at::Tensor hopper_map(const at::Tensor& x, const PolyMap& map) {
  const std::vector<at::Tensor> parameters = {map.weights[0], map.weights[1], map.biases[0], map.biases[1]};
  return HopperMapFunction::apply(
      x, at::TensorList(parameters),
      HopperSettings{map.activation, map.nonnegative, map.narrow_weights[0], map.narrow_weights[1]});
}

}  // namespace rehyat::ops
