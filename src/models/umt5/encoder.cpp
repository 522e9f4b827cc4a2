#include "models/umt5/encoder.h"

#include <cmath>
#include <limits>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "models/umt5/activation.h"
#include "tensor/wide.h"

// Shapes: B texts, L tokens, A heads, H width of a head, W width of the stream.
namespace rehyat::models {
namespace {

using Shape = std::vector<std::int64_t>;
constexpr double kClampRoom = 1000;  // below the largest float16, once a value is infinite

/// Takes each expected tensor from the source, then makes sure that nothing is left.
class Taker {
 public:
  Taker(const TensorSource& source, at::Device device, std::optional<at::ScalarType> type)
      : source_(source), device_(device), type_(type) {}

  /// `single`: float32 where the model is float16.
  void operator()(const std::string& name, at::Tensor& target, const Shape& shape, bool single = false) {
    const auto found = source_.shape(name);
    const std::string where = cat(source_.where(name), ": tensor '", name, "'");
    require(found == shape,
            [&] { return cat(where, ": found shape ", shape_string(found), ", expected ", shape_string(shape)); });
    require(at::isFloatingType(source_.type(name)), [&] {
      return cat(where, ": found type ", at::toString(source_.type(name)), ", expected a floating type");
    });
    const at::Tensor tensor = source_.read(name);
    require_finite(tensor, where);
    const at::ScalarType type = type_.value_or(source_.type(name));
    target = tensor.to(at::TensorOptions().device(device_).dtype(single && type == at::kHalf ? at::kFloat : type));
    seen_.insert(name);
  }

  void require_all() const {
    for (const std::string& name : source_.names()) {
      if (seen_.contains(name)) continue;
      const std::string near = nearest(name, {seen_.begin(), seen_.end()});
      throw UserError({source_.where(name), "the tensor '" + name + "'", "only tensors of a UMT5 encoder of this size",
                       near.empty() ? "" : "the nearest name is '" + near + "'"});
    }
  }

 private:
  const TensorSource& source_;
  at::Device device_;
  std::optional<at::ScalarType> type_;
  std::set<std::string> seen_;
};

double lowest_of(at::ScalarType type) {
  switch (type) {
    case at::kHalf:
      return std::numeric_limits<at::Half>::lowest();
    case at::kBFloat16:
      return std::numeric_limits<at::BFloat16>::lowest();
    case at::kFloat:
      return std::numeric_limits<float>::lowest();
    default:
      return std::numeric_limits<double>::lowest();
  }
}

/// Keeps float16 finite, as transformers does: infinities become a little less than the largest value.
at::Tensor clamp_half(const at::Tensor& x) {
  if (x.scalar_type() != at::kHalf) return x;
  const double largest = std::numeric_limits<at::Half>::max();
  const double limit = at::isinf(x).any().item<bool>() ? largest - kClampRoom : largest;
  return x.clamp(-limit, limit);
}

}  // namespace

at::Tensor umt5_buckets(std::int64_t length, std::int64_t buckets, std::int64_t max_distance) {
  const at::Tensor position = at::arange(length, at::kLong);
  const at::Tensor relative = position.unsqueeze(0) - position.unsqueeze(1), distance = relative.abs();
  const std::int64_t half = buckets / 2, exact = half / 2;
  // In float32 and on the CPU: at the borders the rounding decides, and it must not depend on the device.
  const at::Tensor log = at::log(distance.to(at::kFloat) / static_cast<double>(exact)) /
                         std::log(static_cast<double>(max_distance) / static_cast<double>(exact)) *
                         static_cast<double>(half - exact);
  // Distance 0 has no logarithm, but is exact.
  const at::Tensor far = at::where(distance < exact, 0.0, log).to(at::kLong).add(exact).clamp_max(half - 1);
  return at::where(distance < exact, distance, far) + (relative > 0).to(at::kLong) * half;
}

/// Every weight by name, with its shape.
template <typename Self, typename Visit>
void Umt5Encoder::visit(Self& self, Visit&& visit) {
  const Umt5Config& c = self.config_;
  const std::int64_t inner = c.heads * c.head_width;
  visit("shared.weight", self.shared_, Shape{c.vocabulary, c.width});
  for (std::size_t i = 0; i < self.layers_.size(); ++i) {
    auto& layer = self.layers_[i];
    const std::string attention = cat("encoder.block.", i, ".layer.0."), ffn = cat("encoder.block.", i, ".layer.1.");
    visit(attention + "layer_norm.weight", layer.attention_norm, Shape{c.width});
    visit(attention + "SelfAttention.q.weight", layer.q, Shape{inner, c.width});
    visit(attention + "SelfAttention.k.weight", layer.k, Shape{inner, c.width});
    visit(attention + "SelfAttention.v.weight", layer.v, Shape{inner, c.width});
    visit(attention + "SelfAttention.o.weight", layer.o, Shape{c.width, inner});
    visit(attention + "SelfAttention.relative_attention_bias.weight", layer.bias, Shape{c.buckets, c.heads});
    visit(ffn + "layer_norm.weight", layer.ffn_norm, Shape{c.width});
    visit(ffn + (c.gated ? "DenseReluDense.wi_0.weight" : "DenseReluDense.wi.weight"), layer.wi_0,
          {c.feed_forward, c.width});
    if (c.gated) visit(ffn + "DenseReluDense.wi_1.weight", layer.wi_1, Shape{c.feed_forward, c.width});
    visit(ffn + "DenseReluDense.wo.weight", layer.wo, Shape{c.width, c.feed_forward}, true);
  }
  visit("encoder.final_layer_norm.weight", self.final_norm_, Shape{c.width});
}

Umt5Encoder::Umt5Encoder(const Umt5Weights& weights, at::Device device, std::optional<at::ScalarType> type)
    : config_(weights.config), layers_(static_cast<std::size_t>(weights.config.layers)) {
  const at::NoGradGuard no_grad;
  const at::ScalarType compute = type.value_or(weights.tensors->type("shared.weight"));
  require(compute == at::kFloat || compute == at::kBFloat16 || compute == at::kHalf || compute == at::kDouble, [&] {
    return cat(weights.tensors->path(), ": found the type ", at::toString(compute),
               ", expected float32, bfloat16, float16 or float64");
  });
  Taker take(*weights.tensors, device, compute);
  visit(*this, take);
  take.require_all();
}

at::Tensor Umt5Encoder::norm(const at::Tensor& x, const at::Tensor& weight) const {
  const at::Tensor scaled = x * at::rsqrt(wide(x).square().mean(-1, true) + config_.eps);
  return weight * scaled.to(weight.scalar_type());
}

at::Tensor Umt5Encoder::attend(const Layer& layer, const at::Tensor& x, const at::Tensor& buckets,
                               const at::Tensor& seen) const {
  const std::int64_t batch = x.size(0), length = x.size(1);
  const auto heads = [&](const at::Tensor& weight) {
    return at::linear(x, weight).view({batch, length, config_.heads, config_.head_width}).transpose(1, 2);
  };
  const at::Tensor bias_ALL = layer.bias.index_select(0, buckets.reshape({-1}))
                                  .view({length, length, config_.heads})
                                  .permute({2, 0, 1})
                                  .unsqueeze(0);
  // The lowest number instead of -inf: a row without any visible token becomes their mean, and stays finite.
  const at::Tensor lowest = at::full({}, lowest_of(x.scalar_type()), x.options());
  const at::Tensor scores = at::where(seen, bias_ALL, lowest).contiguous();
  const at::Tensor y = at::scaled_dot_product_attention(heads(layer.q), heads(layer.k), heads(layer.v), scores,
                                                        /*dropout_p=*/0.0, /*is_causal=*/false, /*scale=*/1.0);
  return at::linear(y.transpose(1, 2).reshape({batch, length, config_.heads * config_.head_width}), layer.o);
}

at::Tensor Umt5Encoder::feed_forward(const Layer& layer, const at::Tensor& x) const {
  at::Tensor hidden = apply_activation(config_.activation, at::linear(x, layer.wi_0));
  if (layer.wi_1.defined()) hidden = hidden * at::linear(x, layer.wi_1);
  return at::linear(hidden.to(layer.wo.scalar_type()), layer.wo);
}

at::Tensor Umt5Encoder::forward(const at::Tensor& ids, const at::Tensor& mask) const {
  const at::NoGradGuard no_grad;
  require(ids.dim() == 2 && ids.numel() > 0 && mask.sizes() == ids.sizes() && ids.scalar_type() == at::kLong, [&] {
    return cat("[umt5] found ids ", shape_string(ids.sizes().vec()), " of type ", at::toString(ids.scalar_type()),
               " and a mask ", shape_string(mask.sizes().vec()), ", expected int64 [B, L] and [B, L]");
  });
  const auto least = ids.min().item<std::int64_t>(), most = ids.max().item<std::int64_t>();
  require(least >= 0 && most < config_.vocabulary, [&] {
    return cat("[umt5] found the token id ", least < 0 ? least : most, ", expected 0 to ", config_.vocabulary - 1,
               "; the tokenizer is that of another model");
  });
  const at::Tensor buckets = umt5_buckets(ids.size(1), config_.buckets, config_.max_distance).to(device());
  const at::Tensor seen = mask.to(device()).ne(0).view({ids.size(0), 1, 1, ids.size(1)});
  at::Tensor x =
      shared_.index_select(0, ids.to(device()).reshape({-1})).view({ids.size(0), ids.size(1), config_.width});
  for (const Layer& layer : layers_) {
    x = clamp_half(x + attend(layer, norm(x, layer.attention_norm), buckets, seen));
    x = clamp_half(x + feed_forward(layer, norm(x, layer.ffn_norm)));
  }
  return norm(x, final_norm_);
}

std::string Umt5Encoder::fingerprint() const {
  Hasher hasher;
  hasher.update(describe(config_));
  visit(*this, [&](const std::string& name, const at::Tensor& tensor, const Shape&, bool = false) {
    hasher.update(name).update(rehyat::hash_tensor(tensor));
  });
  return hasher.digest();
}

}  // namespace rehyat::models
