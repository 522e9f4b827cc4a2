#include "ops/feature_map.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/strings.h"
#include "ops/attention_spec.h"
#include "ops/cuda/fused_feature_map.h"
#include "tensor/random.h"

namespace rehyat::ops {
namespace {

constexpr std::int64_t kCalibrationTokens = 256;
/// The bias of an embedding whose sign matters, in units of its spread's order: most of it starts above 0.
constexpr double kStartBias = 1;

at::Tensor activate(const at::Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::gelu:
      return at::gelu(x);
    case Activation::silu:
      return at::silu(x);
    case Activation::relu:
      return at::relu(x);
  }
  return x;
}

at::Tensor make_nonnegative(const at::Tensor& x, NonNegative how) {
  switch (how) {
    case NonNegative::softplus:
      return at::softplus(x);
    case NonNegative::relu:
      return at::relu(x);
    case NonNegative::exp:
      return x.exp();
    case NonNegative::none:
      return x;
  }
  return x;
}

at::Tensor widened(const at::Tensor& x) {
  return x.scalar_type() == at::kDouble ? x : x.to(at::kFloat);
}

}  // namespace

void FeatureMapConfig::fields(config::Fields& f) {
  f.choice(
      "kind", kind,
      {{"poly_mlp", FeatureMapKind::poly_mlp}, {"hedgehog", FeatureMapKind::hedgehog}, {"elu", FeatureMapKind::elu}},
      "which feature map");
  const auto poly = [this] { return kind == FeatureMapKind::poly_mlp; };
  const auto deep = [this] { return kind == FeatureMapKind::poly_mlp && layers > 1; };
  const char *const with_poly = "with kind poly_mlp", *const with_layers = "with kind poly_mlp of 2 layers or more";
  f.add("layers", layers, "poly_mlp: linear layers").between(1, 8).only(with_poly, poly);
  f.add("degree", degree, "poly_mlp: highest power P").between(1, 8).only(with_poly, poly);
  f.add("hidden", hidden, "poly_mlp: hidden width; 0 = degree times the head width")
      .at_least(0)
      .only(with_layers, deep);
  f.choice("activation", activation,
           {{"gelu", Activation::gelu}, {"silu", Activation::silu}, {"relu", Activation::relu}},
           "poly_mlp: between the layers")
      .only(with_layers, deep);
  f.choice("nonnegative", nonnegative,
           {{"softplus", NonNegative::softplus},
            {"relu", NonNegative::relu},
            {"exp", NonNegative::exp},
            {"none", NonNegative::none}},
           "poly_mlp: what makes the features non-negative")
      .only(with_poly, poly);
  f.add("rope_first", rope_first, "phi acts on q and k after RoPE; false is an ablation");
}

void FeatureMapConfig::validate() const {
  require(layers >= 1 && degree >= 1 && hidden >= 0, [&] {
    return cat("[feature_map] found layers ", layers, ", degree ", degree, ", hidden ", hidden,
               ", expected layers >= 1, degree >= 1, hidden >= 0");
  });
}

std::int64_t FeatureMapConfig::feature_width(std::int64_t head_width) const {
  switch (kind) {
    case FeatureMapKind::poly_mlp:
      return degree * head_width;
    case FeatureMapKind::hedgehog:
      return 2 * head_width;
    case FeatureMapKind::elu:
      return head_width;
  }
  return 0;
}

FeatureMapImpl::FeatureMapImpl(std::int64_t heads, std::int64_t head_width, const FeatureMapConfig& config)
    : heads_(heads), head_width_(head_width), config_(config) {
  config_.validate();
  if (config_.kind == FeatureMapKind::hedgehog) {
    weights_.push_back(
        register_parameter("weight_0", at::eye(head_width).expand({heads, head_width, head_width}).clone()));
  } else if (config_.kind == FeatureMapKind::poly_mlp) {
    const std::int64_t out = feature_width(), hidden = config_.hidden > 0 ? config_.hidden : out;
    for (std::int64_t i = 0; i < config_.layers; ++i) {
      const std::int64_t from = i == 0 ? head_width : hidden, to = i + 1 == config_.layers ? out : hidden;
      weights_.push_back(register_parameter(cat("weight_", i), at::zeros({heads, from, to})));
      biases_.push_back(register_parameter(cat("bias_", i), at::zeros({heads, 1, to})));
    }
  }
  for (const at::Tensor& weight : weights_) weight_copies_.emplace_back(weight);
  for (const at::Tensor& bias : biases_) bias_copies_.emplace_back(bias);
  if (config_.kind != FeatureMapKind::poly_mlp) level_ = register_buffer("level", at::ones({1}));
}

at::Tensor FeatureMapImpl::raw(const at::Tensor& x) const {
  at::Tensor h = x;
  for (std::size_t i = 0; i < weights_.size(); ++i) {
    h = at::matmul(h, weight_copies_[i].in(x.scalar_type())) + bias_copies_[i].in(x.scalar_type());
    if (i + 1 < weights_.size()) h = activate(h, config_.activation);
  }
  return widened(h);
}

void FeatureMapImpl::check(const at::Tensor& x) const {
  require(x.dim() == 4 && x.size(1) == heads_ && x.size(3) == head_width_, [&] {
    return cat("[feature_map] x: found ", shape_string(x.sizes().vec()), ", expected [B, ", heads_, ", N, ",
               head_width_, "]");
  });
}

at::Tensor FeatureMapImpl::forward(const at::Tensor& x) {
  check(x);
  if (config_.kind == FeatureMapKind::poly_mlp) {
    PolyMap map{weights_, biases_, {}, config_.activation, config_.nonnegative, head_width_};
    if (has_fused_map(x, map)) {
      for (const Replica& copy : weight_copies_) map.narrow_weights.push_back(copy.numbers(x.scalar_type()));
      return fused_map(x, map);
    }
  }
  return forward_composed(x);
}

at::Tensor FeatureMapImpl::forward_composed(const at::Tensor& x) {
  check(x);
  if (config_.kind == FeatureMapKind::elu)
    return ((1 + at::elu(widened(x))) * level_.to(widened(x).scalar_type())).to(x.scalar_type());
  if (config_.kind == FeatureMapKind::hedgehog) {
    const at::Tensor h = widened(at::matmul(x, weight_copies_[0].in(x.scalar_type())));
    return (at::softmax(at::cat({h, -h}, -1), -1) * level_.to(h.scalar_type())).to(x.scalar_type());
  }
  return powers(raw(x)).to(x.scalar_type());
}

at::Tensor FeatureMapImpl::powers(const at::Tensor& embedding) const {
  const at::Tensor e = make_nonnegative(embedding, config_.nonnegative);
  std::vector<at::Tensor> slices;
  for (std::int64_t i = 0; i < config_.degree; ++i) {
    const at::Tensor slice = e.narrow(-1, i * head_width_, head_width_);
    slices.push_back(i == 0 ? slice : slice.pow(i + 1));
  }
  return at::cat(slices, -1);
}

/// phi_q . phi_k that two maps with features like these can expect: independent but for the mean of each slice.
double FeatureMapImpl::expected_product(const at::Tensor& features) const {
  const at::Tensor slices = features.unflatten(-1, {-1, head_width_}).mean(std::vector<std::int64_t>{0, 1, 2, 4});
  return slices.square().sum().item<double>() * static_cast<double>(head_width_);
}

/// Sets the last layer so that `expected_product` is the target. softplus and exp reach any level by a shift of the
/// bias; what relu and none let through is as large as the embedding itself, so that the whole layer is scaled. Either
/// way the product grows monotonically and is bisected.
void FeatureMapImpl::calibrate(Rng& rng, double target_product) {
  const at::Tensor x =
      randn(rng, {1, heads_, kCalibrationTokens, head_width_}).to(weights_[0].device(), weights_[0].scalar_type());
  const bool scaled = config_.nonnegative == NonNegative::none || config_.nonnegative == NonNegative::relu;
  const at::Tensor drawn = raw(x);  // the last bias is 0 yet
  const auto product = [&](double level) {
    return expected_product(powers(scaled ? (drawn + kStartBias) * std::exp(level) : drawn + level));
  };
  double low = -40, high = 40;
  for (int i = 0; i < 48; ++i) {
    const double middle = (low + high) / 2;
    (product(middle) < target_product ? low : high) = middle;
  }
  if (scaled) weights_.back().mul_(std::exp(high));
  biases_.back().fill_(scaled ? kStartBias * std::exp(high) : high);
  const double reached = expected_product(forward(x));
  require(std::abs(reached / target_product - 1) < 0.01, [&] {
    return cat("[feature_map] start: found no level at which phi_q . phi_k is ", target_product, ", the nearest is ",
               reached, ", expected one; use a lower degree or another nonnegative");
  });
}

void FeatureMapImpl::initialize(Rng& rng, double target_product) {
  const at::NoGradGuard no_grad;
  require(target_product > 0,
          [&] { return cat("[feature_map] target product: found ", target_product, ", expected > 0"); });
  if (config_.kind == FeatureMapKind::poly_mlp) {
    for (std::size_t i = 0; i < weights_.size(); ++i) {
      const double spread = 1 / std::sqrt(static_cast<double>(weights_[i].size(1)));
      weights_[i].copy_(randn(rng, weights_[i].sizes()) * spread);
      biases_[i].zero_();
    }
    calibrate(rng, target_product);
    return;
  }
  level_.fill_(1);
  const at::Tensor x = randn(rng, {1, heads_, kCalibrationTokens, head_width_}).to(level_.device());
  level_.fill_(std::sqrt(target_product / expected_product(forward(x))));
}

double start_product(Normalizer normalizer, std::int64_t window_tokens) {
  const double tokens = static_cast<double>(std::max<std::int64_t>(window_tokens, 2));
  switch (normalizer) {
    case Normalizer::joint:
      return 1;
    case Normalizer::lse:
      return 1 / tokens;
    // Scores of unit variance: their maximum is about sqrt(2 ln K), their exponential's mean e^{1/2}.
    case Normalizer::row_max:
      return std::exp(0.5 - std::sqrt(2 * std::log(tokens)));
  }
  return 1;
}

}  // namespace rehyat::ops
