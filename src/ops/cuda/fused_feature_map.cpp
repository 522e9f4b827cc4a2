#include "ops/cuda/fused_feature_map.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>
#include <torch/csrc/autograd/custom_function.h>

#include <algorithm>

#include "ops/cuda/feature_map_kernel.h"
#include "ops/cuda/fused_hopper_map.h"

namespace rehyat::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

cuda::MapType map_type(at::ScalarType type) {
  if (type == at::kBFloat16) return cuda::MapType::bf16;
  return type == at::kHalf ? cuda::MapType::f16 : cuda::MapType::f32;
}

cuda::MapRows map_rows(const at::Tensor& x) {
  return {x.size(0) * x.size(1), x.size(1), x.size(2), x.size(3)};
}

void* map_stream() {
  return c10::cuda::getCurrentCUDAStream().stream();
}

void started(const char* problem) {
  TORCH_CHECK(problem == nullptr, "feature map: the kernel could not be started: ", problem);
}

/// y [B,A,N,O] = x [B,A,N,I] times w [A,I,O]: one product of all heads a sample, which reads and writes where they lie.
void product_into(at::Tensor& y, const at::Tensor& x, const at::Tensor& w) {
  for (std::int64_t b = 0; b < x.size(0); ++b) {
    at::Tensor sample = y[b];
    at::bmm_out(sample, x[b], w);
  }
}

at::Tensor product_of(const at::Tensor& x, const at::Tensor& w) {
  at::Tensor y = at::empty({x.size(0), x.size(1), x.size(2), w.size(2)}, x.options());
  product_into(y, x, w);
  return y;
}

/// The gradient of w in float32: x' dy, summed over the samples.
at::Tensor weight_gradient(const at::Tensor& x, const at::Tensor& dy) {
  at::Tensor sum;
  for (std::int64_t b = 0; b < x.size(0); ++b) {
    const at::Tensor turned = x[b].transpose(-1, -2);
    const at::Tensor part = x.scalar_type() == at::kFloat ? at::bmm(turned, dy[b]) : at::bmm(turned, dy[b], at::kFloat);
    sum = sum.defined() ? sum + part : part;
  }
  return sum;
}

/// [parts, B * A, W] to [A,1,W].
at::Tensor bias_gradient(const at::Tensor& parts, std::int64_t heads) {
  return parts.view({-1, heads, parts.size(2)}).sum(0).unsqueeze(1);
}

at::Tensor bias_of(const at::Tensor& bias) {
  return bias.to(at::kFloat).contiguous();
}

at::Tensor empty_parts(const cuda::MapRows& rows, const at::Tensor& like) {
  return at::empty({cuda::map_parts(rows), rows.groups, rows.width}, like.options().dtype(at::kFloat));
}

struct MapSettings {
  Activation activation;
  NonNegative nonnegative;
  std::int64_t slice_width;
  bool keeps_products;  ///< whether a backward pass may follow
  std::vector<at::Tensor> narrow_weights;
};

/// Inputs: x, then all weights, then all biases. Saved: x, the weights in x's type, the biases in float32, the
/// products.
class PolyMapFunction : public torch::autograd::Function<PolyMapFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& x, at::TensorList parameters,
                            const MapSettings& settings) {
    const c10::cuda::CUDAGuard guard(x.device());
    const auto layers = static_cast<std::int64_t>(parameters.size() / 2);
    const cuda::MapType type = map_type(x.scalar_type());
    variable_list saved(static_cast<std::size_t>(1 + 3 * layers));
    saved[0] = x;
    at::Tensor h = x;
    for (std::int64_t i = 0; i < layers; ++i) {
      const at::Tensor weight = settings.narrow_weights[static_cast<std::size_t>(i)],
                       bias = bias_of(parameters[layers + i]);
      const at::Tensor product = product_of(h, weight);
      const cuda::MapRows rows = map_rows(product);
      h = settings.keeps_products ? at::empty_like(product) : product;
      started(i + 1 < layers
                  ? cuda::launch_hidden(rows, type, product.const_data_ptr(), bias.const_data_ptr<float>(),
                                        settings.activation, h.data_ptr(), map_stream())
                  : cuda::launch_powers(rows, type, product.const_data_ptr(), bias.const_data_ptr<float>(),
                                        settings.nonnegative, settings.slice_width, h.data_ptr(), map_stream()));
      saved[1 + i] = weight;
      saved[1 + layers + i] = bias;
      saved[1 + 2 * layers + i] = product;
    }
    ctx->save_for_backward(saved);
    ctx->saved_data["activation"] = static_cast<std::int64_t>(settings.activation);
    ctx->saved_data["nonnegative"] = static_cast<std::int64_t>(settings.nonnegative);
    ctx->saved_data["slice_width"] = settings.slice_width;
    return h;
  }

  static variable_list backward(AutogradContext* ctx, variable_list upstream) {
    const variable_list saved = ctx->get_saved_variables();
    const at::Tensor& x = saved[0];
    const c10::cuda::CUDAGuard guard(x.device());
    const auto layers = static_cast<std::int64_t>(saved.size() / 3);
    const auto activation = static_cast<Activation>(ctx->saved_data["activation"].toInt());
    const auto nonnegative = static_cast<NonNegative>(ctx->saved_data["nonnegative"].toInt());
    const cuda::MapType type = map_type(x.scalar_type());
    variable_list grads(static_cast<std::size_t>(2 + 2 * layers));  // the last is of the settings
    const at::Tensor dy = upstream[0].contiguous();

    at::Tensor d = at::empty_like(dy);  // of a layer's product
    {
      const at::Tensor& product = saved[3 * layers];
      const cuda::MapRows rows = map_rows(product);
      const at::Tensor parts = empty_parts(rows, x);
      started(cuda::launch_powers_backward(rows, type, product.const_data_ptr(),
                                           saved[2 * layers].const_data_ptr<float>(), nonnegative,
                                           ctx->saved_data["slice_width"].toInt(), dy.const_data_ptr(), d.data_ptr(),
                                           parts.data_ptr<float>(), map_stream()));
      grads[2 * layers] = bias_gradient(parts, x.size(1));
    }
    for (std::int64_t i = layers - 1; i > 0; --i) {
      const at::Tensor dh = product_of(d, saved[1 + i].transpose(-1, -2));
      const at::Tensor& product = saved[2 * layers + i];  // of the layer before
      const cuda::MapRows rows = map_rows(product);
      const at::Tensor parts = empty_parts(rows, x), h = at::empty_like(product);
      started(cuda::launch_hidden_backward(rows, type, product.const_data_ptr(),
                                           saved[layers + i].const_data_ptr<float>(), activation, dh.const_data_ptr(),
                                           dh.data_ptr(), h.data_ptr(), parts.data_ptr<float>(), map_stream()));
      grads[1 + i] = weight_gradient(h, d);
      grads[layers + i] = bias_gradient(parts, x.size(1));
      d = dh;
    }
    grads[1] = weight_gradient(x, d);
    if (ctx->needs_input_grad(0)) {
      grads[0] = at::empty_like(x);  // as x lies, like the gradient of attention that it is added to
      product_into(grads[0], d, saved[1].transpose(-1, -2));
    }
    return grads;
  }
};

}  // namespace

bool has_fused_map(const at::Tensor& x, const PolyMap& map) {
  if (!x.is_cuda() || x.scalar_type() == at::kDouble || x.stride(-1) != 1 || x.numel() == 0) return false;
  return map.slice_width % 8 == 0 && std::all_of(map.weights.begin(), map.weights.end(),
                                                 [](const at::Tensor& w) { return cuda::serves_width(w.size(2)); });
}

at::Tensor fused_map(const at::Tensor& x, const PolyMap& map) {
  return has_hopper_map(x, map) ? hopper_map(x, map) : map_by_products(x, map);
}

at::Tensor map_by_products(const at::Tensor& x, const PolyMap& map) {
  std::vector<at::Tensor> parameters = map.weights;
  parameters.insert(parameters.end(), map.biases.begin(), map.biases.end());
  const auto wants = [](const at::Tensor& tensor) { return tensor.requires_grad(); };
  const bool differentiated =
      at::GradMode::is_enabled() && (wants(x) || std::any_of(parameters.begin(), parameters.end(), wants));
  return PolyMapFunction::apply(
      x, at::TensorList(parameters),
      MapSettings{map.activation, map.nonnegative, map.slice_width, differentiated, map.narrow_weights});
}

}  // namespace rehyat::ops
