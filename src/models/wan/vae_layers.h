#pragma once

#include <ATen/ATen.h>
#include <torch/nn/module.h>
#include <torch/nn/pimpl.h>

#include <memory>
#include <string>
#include <vector>

/// Layers of the Wan video VAE. Features are [B,C,T,H,W]; weights are held in any floating type and used in that of the
/// features. Names of parameters are diffusers'.
namespace rehyat::models {

/// What the causal layers of an encoder or decoder remember of earlier chunks of a video: one slot a layer, in the
/// order in which the layers run. Its size does not depend on how many frames have passed.
class FeatureCache {
 public:
  struct Slot {
    bool started = false;  ///< whether the layer has seen a chunk
    at::Tensor frames;     ///< its last frames; undefined stands for zeros

    /// Room for a chunk like x behind the `history` frames before it, [B,C,history+T,H,W]: the slot's frames are in it
    /// already, and the slot is empty until `keep`.
    at::Tensor room(const at::Tensor& x, std::int64_t history);
    /// Remembers the last frames of a room.
    void keep(const at::Tensor& room, std::int64_t history);
    /// Room for a chunk like x, of which every frame is stacked behind the two before it, [B,T,H,W,channels] with the
    /// oldest frame's channels first and zeros after the third: the slot's frames are in it, and the slot is empty.
    at::Tensor stack(const at::Tensor& x, std::int64_t channels);
    /// Remembers the last frames of a stack of frames like x.
    void keep_stacked(const at::Tensor& stack, const at::Tensor& x);
  };
  /// The layers run again from the first one.
  void begin_chunk() { next_ = 0; }
  Slot& next();
  void to(at::Device device);
  std::int64_t bytes() const;

 private:
  std::vector<Slot> slots_;
  std::size_t next_ = 0;
};

/// A convolution in two or three dimensions, as its kernel has; no padding in time. On a GPU its weights and results
/// have their channels last, as the fast kernels want them.
class VaeConvImpl : public torch::nn::Module {
 public:
  /// libtorch adds the bias on a GPU in a pass of its own; where it is left out, the step that follows adds it.
  enum class Bias { added, left_out };

  VaeConvImpl(std::int64_t in, std::int64_t out, std::vector<std::int64_t> kernel, const at::TensorOptions& options);
  /// Zeros added on both sides of height and width, `stride` for each dimension (empty: 1).
  at::Tensor forward(const at::Tensor& x, std::int64_t padding = 0, at::IntArrayRef stride = {},
                     Bias with = Bias::added) const;
  /// The same over the last frames of the chunks before and this one, as many frames out as in. Only for 3 frames.
  at::Tensor forward_causal(at::Tensor x, FeatureCache::Slot& slot, std::int64_t padding,
                            Bias with = Bias::added) const;

  /// Whether a convolution of x over 3 x 3 x 3 runs as one in two dimensions over stacked frames: on a GPU, for types
  /// and numbers of channels that have no fast kernel in three dimensions.
  bool stacks(const at::Tensor& x) const;
  /// forward_causal by a stack, with 1 pixel of padding.
  at::Tensor forward_causal_stacked(at::Tensor x, FeatureCache::Slot& slot, Bias with = Bias::added) const;
  /// Channels of such a stack.
  std::int64_t stacked_channels() const;
  /// A slot's stack [B,T,H,W,channels] -> [B,out,T,H,W].
  at::Tensor forward_stacked(const at::Tensor& stack, Bias with = Bias::added) const;

  at::Tensor weight, bias;

 private:
  /// The weights in that type, converted once.
  const at::Tensor& weight_in(at::ScalarType type) const;
  /// The same for stacked frames, [out,channels,3,3].
  const at::Tensor& stacked_weight_in(at::ScalarType type) const;
  bool fits(const at::Tensor& made, std::int64_t version, at::ScalarType type) const;
  mutable at::Tensor converted_, stacked_;
  mutable std::int64_t converted_version_ = -1, stacked_version_ = -1;
};
TORCH_MODULE(VaeConv);

/// x / max(|x|, 1e-12) * sqrt(C) * gamma, |x| over the channels (dimension 1), in float32 at least.
class VaeNormImpl : public torch::nn::Module {
 public:
  /// `trailing`: dimensions of size 1 after the channels in gamma's shape, 3 for videos, 2 for images.
  VaeNormImpl(std::int64_t channels, std::int64_t trailing, const at::TensorOptions& options);
  /// x [B,C,T,H,W] or [B,C,H,W].
  at::Tensor forward(const at::Tensor& x) const;

  at::Tensor gamma;
};
TORCH_MODULE(VaeNorm);

/// Features x + bias, [B,C,T,H,W] and [C]; the bias may be undefined.
struct VaeFeatures {
  at::Tensor x, bias;
  /// x + bias; x is overwritten with it.
  at::Tensor whole() const;
};

/// A causal convolution over 3 x 3 x 3 of what comes into an encoder or decoder.
VaeFeatures first_features(const VaeConv& conv, at::Tensor x, FeatureCache::Slot& slot);

/// An entry of the encoder's list of blocks: residual block, attention or downsampling.
class VaeLayerImpl : public torch::nn::Module {
 public:
  /// The next chunk of a video, [B,C,T,H,W] -> [B,C',T',H',W'].
  virtual VaeFeatures forward(VaeFeatures in, FeatureCache& cache) = 0;
};

/// shortcut(x) + conv2(silu(norm2(conv1(silu(norm1(x)))))), both convolutions causal over 3 frames.
class VaeResidualImpl : public VaeLayerImpl {
 public:
  VaeResidualImpl(std::int64_t in, std::int64_t out, const at::TensorOptions& options);
  VaeFeatures forward(VaeFeatures in, FeatureCache& cache) override;

 private:
  VaeNorm norm1_, norm2_;
  VaeConv conv1_, conv2_, shortcut_{nullptr};
};

/// Single-head attention among the pixels of each frame, with a residual.
class VaeAttentionImpl : public VaeLayerImpl {
 public:
  VaeAttentionImpl(std::int64_t channels, const at::TensorOptions& options);
  VaeFeatures forward(VaeFeatures in, FeatureCache& cache) override;

 private:
  VaeNorm norm_;
  VaeConv to_qkv_, proj_;
};

/// Halves height and width, padding right and bottom only, and with `time` the frames too. The first chunk, of one
/// frame, skips the convolution over time.
class VaeDownsampleImpl : public VaeLayerImpl {
 public:
  VaeDownsampleImpl(std::int64_t channels, bool time, const at::TensorOptions& options);
  VaeFeatures forward(VaeFeatures in, FeatureCache& cache) override;

 private:
  VaeConv resample_, time_conv_{nullptr};
};

/// Doubles height and width, halves the channels, and with `time` doubles the frames. The first chunk skips the
/// convolution over time and is not remembered: the second one sees zeros before it.
class VaeUpsampleImpl : public VaeLayerImpl {
 public:
  VaeUpsampleImpl(std::int64_t channels, bool time, const at::TensorOptions& options);
  VaeFeatures forward(VaeFeatures in, FeatureCache& cache) override;

 private:
  VaeConv resample_, time_conv_{nullptr};
};

/// Residual block, attention, residual block.
class VaeMiddleImpl : public VaeLayerImpl {
 public:
  VaeMiddleImpl(std::int64_t channels, const at::TensorOptions& options);
  VaeFeatures forward(VaeFeatures in, FeatureCache& cache) override;

 private:
  std::vector<std::shared_ptr<VaeLayerImpl>> layers_;
};

/// conv_out(silu(norm_out(x))), causal; registered in the module that owns it, as diffusers has it.
class VaeHead {
 public:
  VaeHead(torch::nn::Module& owner, std::int64_t in, std::int64_t out, const at::TensorOptions& options);
  at::Tensor forward(const VaeFeatures& in, FeatureCache& cache) const;

 private:
  VaeNorm norm_;
  VaeConv conv_;
};

}  // namespace rehyat::models
