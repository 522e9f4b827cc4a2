#include "models/wan/vae_layers.h"

#include <algorithm>
#include <utility>

#include "models/dense.h"
#include "ops/channel_ops.h"
#include "tensor/wide.h"

namespace rehyat::models {
namespace {

constexpr std::int64_t kHistory = 2;  // frames before the first that a kernel of 3 frames sees
constexpr std::int64_t kSeen = kHistory + 1;
// Half types have fast kernels for convolutions in three dimensions where the channels are a multiple of it.
constexpr std::int64_t kFastChannels = 64;
constexpr std::int64_t kFewChannels = 32;  // fewer results are not worth a stack
constexpr std::int64_t kStackStep = 32;    // channels of a stack are a multiple of it

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
at::Tensor normed_conv(const VaeNorm& norm, const VaeConv& conv, VaeFeatures in, FeatureCache::Slot& slot,
                       VaeConvImpl::Bias with) {
  const std::int64_t channels = in.x.size(1), frames = in.x.size(2);
  if (conv->stacks(in.x) && conv->stacked_channels() == kSeen * channels) {
    const at::Tensor stack = slot.stack(in.x, conv->stacked_channels());
    ops::stacked_channel_norm(in.x, in.bias, norm->gamma, true, stack.unflatten(4, {kSeen, channels}));
    slot.keep_stacked(stack, in.x);
    in.x.reset();
    return conv->forward_stacked(stack, with);
  }
  const at::Tensor room = slot.room(in.x, kHistory);
  ops::channel_norm(in.x, in.bias, norm->gamma, true, room.narrow(2, kHistory, frames));
  in.x.reset();
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

at::Tensor FeatureCache::Slot::stack(const at::Tensor& x, std::int64_t channels) {
  const std::int64_t c = x.size(1), count = x.size(2);
  const std::vector<std::int64_t> sizes = {x.size(0), count, x.size(3), x.size(4), channels};
  at::Tensor out = channels == kSeen * c ? at::empty(sizes, x.options()) : at::zeros(sizes, x.options());
  for (std::int64_t h = 0; h < kHistory; ++h) {
    for (std::int64_t t = 0; t <= h && t < count; ++t) {
      const at::Tensor part = out.select(1, t).narrow(3, (h - t) * c, c);
      if (frames.defined()) {
        part.copy_(frames.select(2, h).permute({0, 2, 3, 1}));
      } else {
        part.zero_();
      }
    }
  }
  frames.reset();
  return out;
}

void FeatureCache::Slot::keep_stacked(const at::Tensor& stack, const at::Tensor& x) {
  started = true;
  const std::int64_t c = x.size(1);
  const at::Tensor last = stack.select(1, stack.size(1) - 1).narrow(3, c, kHistory * c).unflatten(3, {kHistory, c});
  frames = last.permute({0, 4, 3, 1, 2}).clone(at::MemoryFormat::ChannelsLast3d);
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

bool VaeConvImpl::fits(const at::Tensor& made, std::int64_t version, at::ScalarType type) const {
  return made.defined() && made.scalar_type() == type && version == static_cast<std::int64_t>(weight._version());
}

const at::Tensor& VaeConvImpl::weight_in(at::ScalarType type) const {
  if (weight.scalar_type() == type) return weight;
  if (!fits(converted_, converted_version_, type)) {
    converted_ = weight.to(type);
    converted_version_ = static_cast<std::int64_t>(weight._version());
  }
  return converted_;
}

const at::Tensor& VaeConvImpl::stacked_weight_in(at::ScalarType type) const {
  if (!fits(stacked_, stacked_version_, type)) {
    // [out,in,3,3,3] -> [out,3*in,3,3], the oldest frame first.
    const at::Tensor joined = weight.transpose(1, 2).flatten(1, 2).to(type);
    stacked_ = at::constant_pad_nd(joined, {0, 0, 0, 0, 0, stacked_channels() - joined.size(1)})
                   .contiguous(at::MemoryFormat::ChannelsLast);
    stacked_version_ = static_cast<std::int64_t>(weight._version());
  }
  return stacked_;
}

bool VaeConvImpl::stacks(const at::Tensor& x) const {
  if (!x.is_cuda() || x.scalar_type() == at::kDouble || weight.dim() != 5 || weight.size(3) != 3) return false;
  const bool fast = x.scalar_type() != at::kFloat && weight.size(1) % kFastChannels == 0;
  return !fast && weight.size(0) >= kFewChannels;
}

std::int64_t VaeConvImpl::stacked_channels() const {
  return (kSeen * weight.size(1) + kStackStep - 1) / kStackStep * kStackStep;
}

at::Tensor VaeConvImpl::forward_stacked(const at::Tensor& stack, Bias with) const {
  const at::Tensor frames = stack.flatten(0, 1).permute({0, 3, 1, 2});
  const at::Tensor b = with == Bias::added ? bias.to(stack.scalar_type()) : at::Tensor();
  const std::vector<std::int64_t> ones(2, 1);
  return from_frames(at::conv2d(frames, stacked_weight_in(stack.scalar_type()), b, ones, ones), stack.size(0));
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
  if (stacks(x)) return forward_causal_stacked(std::move(x), slot, with);
  const at::Tensor room = slot.room(x, kHistory);
  room.narrow(2, kHistory, x.size(2)).copy_(x);
  x.reset();
  slot.keep(room, kHistory);
  return forward(room, padding, {}, with);
}

at::Tensor VaeConvImpl::forward_causal_stacked(at::Tensor x, FeatureCache::Slot& slot, Bias with) const {
  const std::int64_t c = x.size(1), count = x.size(2);
  const at::Tensor stack = slot.stack(x, stacked_channels()), pixels = x.permute({0, 2, 3, 4, 1});
  for (std::int64_t later = 0; later < std::min(kSeen, count); ++later) {
    const at::Tensor part = stack.narrow(1, later, count - later).narrow(4, (kHistory - later) * c, c);
    part.copy_(pixels.narrow(1, 0, count - later));
  }
  slot.keep_stacked(stack, x);
  x.reset();
  return forward_stacked(stack, with);
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

at::Tensor VaeFeatures::whole() const {
  return bias.defined() ? x.add_(bias.to(x.scalar_type()).view({-1, 1, 1, 1})) : x;
}

VaeFeatures first_features(const VaeConv& conv, at::Tensor x, FeatureCache::Slot& slot) {
  const VaeConvImpl::Bias with = bias_of(x);
  return {conv->forward_causal(std::move(x), slot, 1, with), left_out(conv, with)};
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

VaeFeatures VaeResidualImpl::forward(VaeFeatures in, FeatureCache& cache) {
  const VaeConvImpl::Bias with = bias_of(in.x);
  at::Tensor h = normed_conv(norm1_, conv1_, in, cache.next(), with);
  h = normed_conv(norm2_, conv2_, {std::move(h), left_out(conv1_, with)}, cache.next(), with);
  if (shortcut_) in = {shortcut_->forward(in.whole(), 0, {}, with), left_out(shortcut_, with)};
  at::Tensor bias = left_out(conv2_, with);
  if (in.bias.defined()) bias = wide(bias) + wide(in.bias);
  return {ops::biased_sum(in.x, h, bias), {}};
}

VaeAttentionImpl::VaeAttentionImpl(std::int64_t channels, const at::TensorOptions& options)
    : norm_(channels, 2, options),
      to_qkv_(channels, 3 * channels, std::vector<std::int64_t>{1, 1}, options),
      proj_(channels, channels, std::vector<std::int64_t>{1, 1}, options) {
  register_module("norm", norm_);
  register_module("to_qkv", to_qkv_);
  register_module("proj", proj_);
}

VaeFeatures VaeAttentionImpl::forward(VaeFeatures in, FeatureCache&) {
  const at::Tensor x = in.whole();
  const at::Tensor frames = to_frames(x);
  // [B*T, 1, H*W, C] each.
  const auto qkv =
      to_qkv_->forward(norm_->forward(frames)).flatten(2).unsqueeze(1).transpose(2, 3).contiguous().chunk(3, -1);
  const at::Tensor y = at::scaled_dot_product_attention(qkv[0], qkv[1], qkv[2]);
  return {x + from_frames(proj_->forward(y.squeeze(1).transpose(1, 2).reshape(frames.sizes())), x.size(0)), {}};
}

VaeDownsampleImpl::VaeDownsampleImpl(std::int64_t channels, bool time, const at::TensorOptions& options)
    : resample_(channels, channels, std::vector<std::int64_t>{3, 3}, options) {
  in_folder(*this, "resample", "1", resample_);
  if (time)
    time_conv_ = register_module("time_conv", VaeConv(channels, channels, std::vector<std::int64_t>{3, 1, 1}, options));
}

VaeFeatures VaeDownsampleImpl::forward(VaeFeatures in, FeatureCache& cache) {
  const std::int64_t batch = in.x.size(0);
  const VaeConvImpl::Bias later = bias_of(in.x), now = VaeConvImpl::Bias::added;
  at::Tensor x = at::constant_pad_nd(to_frames(in.whole()), {0, 1, 0, 1});
  in.x.reset();
  x = from_frames(resample_->forward(x, 0, {2, 2}, time_conv_ ? now : later), batch);
  if (!time_conv_) return {x, left_out(resample_, later)};
  FeatureCache::Slot& slot = cache.next();
  if (!slot.started) {
    slot.keep(x, 1);
    return {x, {}};
  }
  const at::Tensor room = slot.room(x, 1);
  room.narrow(2, 1, x.size(2)).copy_(x);
  x.reset();
  slot.keep(room, 1);
  return {time_conv_->forward(room, 0, {2, 1, 1}, later), left_out(time_conv_, later)};
}

VaeUpsampleImpl::VaeUpsampleImpl(std::int64_t channels, bool time, const at::TensorOptions& options)
    : resample_(channels, channels / 2, std::vector<std::int64_t>{3, 3}, options) {
  in_folder(*this, "resample", "1", resample_);
  if (time)
    time_conv_ =
        register_module("time_conv", VaeConv(channels, 2 * channels, std::vector<std::int64_t>{3, 1, 1}, options));
}

VaeFeatures VaeUpsampleImpl::forward(VaeFeatures in, FeatureCache& cache) {
  const std::int64_t batch = in.x.size(0);
  const VaeConvImpl::Bias with = bias_of(in.x);
  std::int64_t parts = 1;  // of the channels: the two halves are the even and the odd frames
  if (time_conv_) {
    FeatureCache::Slot& slot = cache.next();
    if (slot.started) {
      in = {time_conv_->forward_causal(in.whole(), slot, 0, with), left_out(time_conv_, with)};
      parts = 2;
    }
    slot.started = true;
  }
  const at::Tensor frames = to_frames(ops::doubled_frames(in.x, in.bias, parts));
  in.x.reset();
  return {from_frames(resample_->forward(frames, 1, {}, with), batch), left_out(resample_, with)};
}

VaeMiddleImpl::VaeMiddleImpl(std::int64_t channels, const at::TensorOptions& options) {
  const auto attentions = register_module("attentions", ModuleGroup()),
             resnets = register_module("resnets", ModuleGroup());
  layers_.push_back(resnets->register_module("0", std::make_shared<VaeResidualImpl>(channels, channels, options)));
  layers_.push_back(attentions->register_module("0", std::make_shared<VaeAttentionImpl>(channels, options)));
  layers_.push_back(resnets->register_module("1", std::make_shared<VaeResidualImpl>(channels, channels, options)));
}

VaeFeatures VaeMiddleImpl::forward(VaeFeatures in, FeatureCache& cache) {
  for (const auto& layer : layers_) in = layer->forward(std::move(in), cache);
  return in;
}

VaeHead::VaeHead(torch::nn::Module& owner, std::int64_t in, std::int64_t out, const at::TensorOptions& options)
    : norm_(in, 3, options), conv_(in, out, std::vector<std::int64_t>{3, 3, 3}, options) {
  owner.register_module("norm_out", norm_);
  owner.register_module("conv_out", conv_);
}

at::Tensor VaeHead::forward(const VaeFeatures& in, FeatureCache& cache) const {
  return normed_conv(norm_, conv_, in, cache.next(), VaeConvImpl::Bias::added);
}

}  // namespace rehyat::models
