#include "models/wan/vae_layers.h"

#include <cmath>

#include "models/dense.h"
#include "tensor/wide.h"

namespace rehyat::models {
namespace {

constexpr std::int64_t kHistory = 2;  // frames before the first that a kernel of 3 frames sees
constexpr double kSmallestNorm = 1e-12;

/// [B,C,T,H,W] -> [B*T,C,H,W].
at::Tensor to_frames(const at::Tensor& x) {
  return x.transpose(1, 2).flatten(0, 1);
}

/// [B*T,C,H,W] -> [B,C,T,H,W].
at::Tensor from_frames(const at::Tensor& x, std::int64_t batch) {
  return x.unflatten(0, {batch, -1}).transpose(1, 2);
}

/// A convolution under `child` of a folder `folder`, for names such as resample.1.weight.
VaeConv in_folder(torch::nn::Module& owner, const char* folder, const char* child, VaeConv conv) {
  return owner.register_module(folder, ModuleGroup())->register_module(child, std::move(conv));
}

}  // namespace

FeatureCache::Slot& FeatureCache::next() {
  if (next_ == slots_.size()) slots_.emplace_back();
  return slots_[next_++];
}

void FeatureCache::to(at::Device device) {
  for (Slot& slot : slots_)
    if (slot.frames.defined()) slot.frames = slot.frames.to(device);
}

std::int64_t FeatureCache::bytes() const {
  std::int64_t sum = 0;
  for (const Slot& slot : slots_) sum += slot.frames.defined() ? static_cast<std::int64_t>(slot.frames.nbytes()) : 0;
  return sum;
}

VaeConvImpl::VaeConvImpl(std::int64_t in, std::int64_t out, std::vector<std::int64_t> kernel,
                         const at::TensorOptions& options) {
  kernel.insert(kernel.begin(), {out, in});
  weight = register_parameter("weight", at::empty(kernel, options), false);
  bias = register_parameter("bias", at::zeros({out}, options), false);
}

at::Tensor VaeConvImpl::forward(const at::Tensor& x, std::int64_t padding, at::IntArrayRef stride) const {
  const at::Tensor w = weight.to(x.scalar_type()), b = bias.to(x.scalar_type());
  const std::vector<std::int64_t> ones(static_cast<std::size_t>(w.dim() - 2), 1);
  if (stride.empty()) stride = ones;
  if (w.dim() == 4) return at::conv2d(x, w, b, stride, at::IntArrayRef({padding, padding}));
  return at::conv3d(x, w, b, stride, at::IntArrayRef({std::int64_t{0}, padding, padding}));
}

at::Tensor VaeConvImpl::forward_causal(at::Tensor x, FeatureCache::Slot& slot, std::int64_t padding) const {
  slot.started = true;
  x = slot.frames.defined() ? at::cat({slot.frames, x}, 2) : at::constant_pad_nd(x, {0, 0, 0, 0, kHistory, 0});
  // A copy, so that the slot does not keep the whole chunk alive.
  slot.frames = x.narrow(2, x.size(2) - kHistory, kHistory).clone();
  return forward(x, padding);
}

VaeNormImpl::VaeNormImpl(std::int64_t channels, std::int64_t trailing, const at::TensorOptions& options) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(trailing + 1), 1);
  shape[0] = channels;
  gamma = register_parameter("gamma", at::ones(shape, options), false);
}

at::Tensor VaeNormImpl::forward(const at::Tensor& x) const {
  const at::ScalarType type = wide_type(x);
  const at::Tensor norm = at::linalg_vector_norm(x, 2, at::IntArrayRef{1}, true, type).clamp_min_(kSmallestNorm);
  return at::div(x, norm).mul_(std::sqrt(static_cast<double>(x.size(1)))).mul_(gamma.to(type)).to(x.scalar_type());
}

at::Tensor VaeNormImpl::forward_silu(const at::Tensor& x) const {
  at::Tensor y = forward(x);
  return at::silu_(y);
}

VaeResidualImpl::VaeResidualImpl(std::int64_t in, std::int64_t out, const at::TensorOptions& options)
    : norm1_(in, 3, options),
      norm2_(out, 3, options),
      conv1_(in, out, std::vector<std::int64_t>{3, 3, 3}, options),
      conv2_(out, out, std::vector<std::int64_t>{3, 3, 3}, options) {
  register_module("norm1", norm1_);
  register_module("conv1", conv1_);
  register_module("norm2", norm2_);
  register_module("conv2", conv2_);
  if (in != out)
    shortcut_ = register_module("conv_shortcut", VaeConv(in, out, std::vector<std::int64_t>{1, 1, 1}, options));
}

at::Tensor VaeResidualImpl::forward(at::Tensor x, FeatureCache& cache) {
  at::Tensor h = conv1_->forward_causal(norm1_->forward_silu(x), cache.next(), 1);
  h = norm2_->forward_silu(h);
  h = conv2_->forward_causal(std::move(h), cache.next(), 1);
  return h.add_(shortcut_ ? shortcut_->forward(x) : x);
}

VaeAttentionImpl::VaeAttentionImpl(std::int64_t channels, const at::TensorOptions& options)
    : norm_(channels, 2, options),
      to_qkv_(channels, 3 * channels, std::vector<std::int64_t>{1, 1}, options),
      proj_(channels, channels, std::vector<std::int64_t>{1, 1}, options) {
  register_module("norm", norm_);
  register_module("to_qkv", to_qkv_);
  register_module("proj", proj_);
}

at::Tensor VaeAttentionImpl::forward(at::Tensor x, FeatureCache&) {
  const at::Tensor frames = to_frames(x);
  // [B*T, 1, H*W, C] each.
  const auto qkv =
      to_qkv_->forward(norm_->forward(frames)).flatten(2).unsqueeze(1).transpose(2, 3).contiguous().chunk(3, -1);
  const at::Tensor y = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]);
  return x + from_frames(proj_->forward(y.squeeze(1).transpose(1, 2).reshape(frames.sizes())), x.size(0));
}

VaeDownsampleImpl::VaeDownsampleImpl(std::int64_t channels, bool time, const at::TensorOptions& options)
    : resample_(channels, channels, std::vector<std::int64_t>{3, 3}, options) {
  in_folder(*this, "resample", "1", resample_);
  if (time)
    time_conv_ = register_module("time_conv", VaeConv(channels, channels, std::vector<std::int64_t>{3, 1, 1}, options));
}

at::Tensor VaeDownsampleImpl::forward(at::Tensor x, FeatureCache& cache) {
  const std::int64_t batch = x.size(0);
  x = at::constant_pad_nd(to_frames(x), {0, 1, 0, 1});
  x = from_frames(resample_->forward(x, 0, {2, 2}), batch);
  if (!time_conv_) return x;
  FeatureCache::Slot& slot = cache.next();
  const at::Tensor last = x.narrow(2, x.size(2) - 1, 1).clone();
  if (slot.started) x = time_conv_->forward(at::cat({slot.frames, x}, 2), 0, {2, 1, 1});
  slot = {true, last};
  return x;
}

VaeUpsampleImpl::VaeUpsampleImpl(std::int64_t channels, bool time, const at::TensorOptions& options)
    : resample_(channels, channels / 2, std::vector<std::int64_t>{3, 3}, options) {
  in_folder(*this, "resample", "1", resample_);
  if (time)
    time_conv_ =
        register_module("time_conv", VaeConv(channels, 2 * channels, std::vector<std::int64_t>{3, 1, 1}, options));
}

at::Tensor VaeUpsampleImpl::forward(at::Tensor x, FeatureCache& cache) {
  const std::int64_t batch = x.size(0);
  if (time_conv_) {
    FeatureCache::Slot& slot = cache.next();
    if (slot.started) {
      x = time_conv_->forward_causal(std::move(x), slot, 0);
      // The two halves of the channels are the even and the odd frames.
      x = x.unflatten(1, {2, -1}).permute({0, 2, 3, 1, 4, 5}).flatten(2, 3);
    }
    slot.started = true;
  }
  x = to_frames(x);
  // Whole factors: the nearest pixel is the same one for every rule of rounding.
  x = at::upsample_nearest2d(x, {2 * x.size(2), 2 * x.size(3)});
  return from_frames(resample_->forward(x, 1), batch);
}

VaeMiddleImpl::VaeMiddleImpl(std::int64_t channels, const at::TensorOptions& options) {
  const auto attentions = register_module("attentions", ModuleGroup()),
             resnets = register_module("resnets", ModuleGroup());
  layers_.push_back(resnets->register_module("0", std::make_shared<VaeResidualImpl>(channels, channels, options)));
  layers_.push_back(attentions->register_module("0", std::make_shared<VaeAttentionImpl>(channels, options)));
  layers_.push_back(resnets->register_module("1", std::make_shared<VaeResidualImpl>(channels, channels, options)));
}

at::Tensor VaeMiddleImpl::forward(at::Tensor x, FeatureCache& cache) {
  for (const auto& layer : layers_) x = layer->forward(std::move(x), cache);
  return x;
}

VaeHead::VaeHead(torch::nn::Module& owner, std::int64_t in, std::int64_t out, const at::TensorOptions& options)
    : norm_(in, 3, options), conv_(in, out, std::vector<std::int64_t>{3, 3, 3}, options) {
  owner.register_module("norm_out", norm_);
  owner.register_module("conv_out", conv_);
}

at::Tensor VaeHead::forward(at::Tensor x, FeatureCache& cache) const {
  x = norm_->forward_silu(x);
  return conv_->forward_causal(std::move(x), cache.next(), 1);
}

}  // namespace rehyat::models
