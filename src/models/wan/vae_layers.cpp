#include "models/wan/vae_layers.h"

#include <utility>

#include "models/dense.h"
#include "ops/channel_ops.h"
#include "tensor/wide.h"

namespace rehyat::models {
namespace {

constexpr std::int64_t kHistory = 2;  // frames before the first that a kernel of 3 frames sees

/// Layout of features in the memory: tensor cores of GPUs are fed fastest with the channels last.
at::MemoryFormat layout(at::Device device, at::ScalarType type, std::int64_t dims) {
  if (!device.is_cuda() || type == at::kDouble) return at::MemoryFormat::Contiguous;
  return dims == 4 ? at::MemoryFormat::ChannelsLast : at::MemoryFormat::ChannelsLast3d;
}

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

/// Whether what follows a convolution of x adds its bias.
VaeConvImpl::Bias bias_of(const at::Tensor& x) {
  return x.is_cuda() ? VaeConvImpl::Bias::left_out : VaeConvImpl::Bias::added;
}

/// What has to be added later.
at::Tensor left_out(const VaeConv& conv, VaeConvImpl::Bias bias) {
  return bias == VaeConvImpl::Bias::left_out ? conv->bias : at::Tensor();
}

/// conv(silu(norm(x + bias))), causal.
at::Tensor normed_conv(const VaeNorm& norm, const VaeConv& conv, at::Tensor x, const at::Tensor& bias,
                       FeatureCache::Slot& slot, VaeConvImpl::Bias with) {
  const at::Tensor room = slot.room(x, kHistory);
  norm->silu_into(x, bias, room.narrow(2, kHistory, x.size(2)));
  x.reset();
  slot.keep(room, kHistory);
  return conv->forward(room, 1, {}, with);
}

}  // namespace

at::Tensor FeatureCache::Slot::room(const at::Tensor& x, std::int64_t history) {
  std::vector<std::int64_t> sizes = x.sizes().vec();
  sizes[2] += history;
  at::Tensor out = at::empty(sizes, x.options().memory_format(layout(x.device(), x.scalar_type(), x.dim())));
  const at::Tensor before = out.narrow(2, 0, history);
  if (frames.defined()) {
    before.copy_(frames);
  } else {
    before.zero_();
  }
  frames.reset();
  return out;
}

void FeatureCache::Slot::keep(const at::Tensor& room, std::int64_t history) {
  started = true;
  // A copy, so that the slot does not keep the whole chunk alive.
  frames = room.narrow(2, room.size(2) - history, history).clone();
}

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
  const auto dims = static_cast<std::int64_t>(kernel.size());
  const at::MemoryFormat format = layout(options.device(), c10::typeMetaToScalarType(options.dtype()), dims);
  weight = register_parameter("weight", at::empty(kernel, options.memory_format(format)), false);
  bias = register_parameter("bias", at::zeros({out}, options), false);
}

const at::Tensor& VaeConvImpl::weight_in(at::ScalarType type) const {
  if (weight.scalar_type() == type) return weight;
  const auto version = static_cast<std::int64_t>(weight._version());
  if (!converted_.defined() || converted_.scalar_type() != type || converted_version_ != version) {
    converted_ = weight.to(type);
    converted_version_ = version;
  }
  return converted_;
}

at::Tensor VaeConvImpl::forward(const at::Tensor& x, std::int64_t padding, at::IntArrayRef stride, Bias with) const {
  const at::Tensor& w = weight_in(x.scalar_type());
  const at::Tensor b = with == Bias::added ? bias.to(x.scalar_type()) : at::Tensor();
  const std::vector<std::int64_t> ones(static_cast<std::size_t>(w.dim() - 2), 1);
  if (stride.empty()) stride = ones;
  if (w.dim() == 4) return at::conv2d(x, w, b, stride, at::IntArrayRef({padding, padding}));
  return at::conv3d(x, w, b, stride, at::IntArrayRef({std::int64_t{0}, padding, padding}));
}

at::Tensor VaeConvImpl::forward_causal(at::Tensor x, FeatureCache::Slot& slot, std::int64_t padding, Bias with) const {
  const at::Tensor room = slot.room(x, kHistory);
  room.narrow(2, kHistory, x.size(2)).copy_(x);
  x.reset();
  slot.keep(room, kHistory);
  return forward(room, padding, {}, with);
}

VaeNormImpl::VaeNormImpl(std::int64_t channels, std::int64_t trailing, const at::TensorOptions& options) {
  std::vector<std::int64_t> shape(static_cast<std::size_t>(trailing + 1), 1);
  shape[0] = channels;
  gamma = register_parameter("gamma", at::ones(shape, options), false);
}

at::Tensor VaeNormImpl::forward(const at::Tensor& x) const {
  at::Tensor y = at::empty_like(x);
  const bool frames = x.dim() == 4;
  ops::channel_norm(frames ? x.unsqueeze(2) : x, {}, gamma, false, frames ? y.unsqueeze(2) : y);
  return y;
}

void VaeNormImpl::silu_into(const at::Tensor& x, const at::Tensor& bias, const at::Tensor& y) const {
  ops::channel_norm(x, bias, gamma, true, y);
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
  const VaeConvImpl::Bias with = bias_of(x);
  at::Tensor h = normed_conv(norm1_, conv1_, x, {}, cache.next(), with);
  h = normed_conv(norm2_, conv2_, std::move(h), left_out(conv1_, with), cache.next(), with);
  at::Tensor bias = left_out(conv2_, with);
  if (shortcut_) {
    if (bias.defined()) bias = wide(bias) + wide(shortcut_->bias);
    x = shortcut_->forward(x, 0, {}, with);
  }
  return ops::biased_sum(x, h, bias);
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
  if (!slot.started) {
    slot.keep(x, 1);
    return x;
  }
  const at::Tensor room = slot.room(x, 1);
  room.narrow(2, 1, x.size(2)).copy_(x);
  x.reset();
  slot.keep(room, 1);
  return time_conv_->forward(room, 0, {2, 1, 1});
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
  std::int64_t parts = 1;  // of the channels: the two halves are the even and the odd frames
  at::Tensor bias;
  if (time_conv_) {
    FeatureCache::Slot& slot = cache.next();
    if (slot.started) {
      const VaeConvImpl::Bias with = bias_of(x);
      bias = left_out(time_conv_, with);
      x = time_conv_->forward_causal(std::move(x), slot, 0, with);
      parts = 2;
    }
    slot.started = true;
  }
  return from_frames(resample_->forward(to_frames(ops::doubled_frames(x, bias, parts)), 1), batch);
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
  return normed_conv(norm_, conv_, std::move(x), {}, cache.next(), VaeConvImpl::Bias::added);
}

}  // namespace rehyat::models
