#include "models/wan/vae.h"

#include <algorithm>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::models {
namespace {

// The convolutions of 1x1x1 between latents and features run over so many latent frames at once. The original runs them
// over all; so far their rounding, which depends on it, is the same.
constexpr std::int64_t kProjected = 32;
constexpr std::int64_t kTogetherOnGpu = 2;
constexpr double kLeastLogvar = -30, kMostLogvar = 20;

at::TensorOptions weight_options(const VaeOptions& options) {
  return at::TensorOptions().dtype(options.weights).device(options.device);
}

const VaeConfig& checked(const VaeConfig& config, const VaeOptions& options) {
  config.validate("[vae]");
  for (const at::ScalarType type : {options.compute, options.weights}) {
    require(at::isFloatingType(type) && !at::isFloat8Type(type), [&] {
      return cat("[vae] found the type ", at::toString(type), ", expected float32, bfloat16, float16 or float64");
    });
  }
  if (options.tiling) options.tiling->validate(config.spatial_stride());
  return config;
}

void require_features(const char* what, const at::Tensor& x, std::int64_t channels, const std::string& sizes) {
  require(x.dim() == 5 && x.is_floating_point() && x.size(1) == channels && x.numel() > 0, [&] {
    return cat(what, ": found ", shape_string(x.sizes().vec()), " ", at::toString(x.scalar_type()),
               ", expected floating point [B, ", channels, ", ", sizes, "]");
  });
}

void require_pixels(const at::Tensor& video, const VaeConfig& config) {
  require_features("[vae.encode] video", video, config.in_channels, "frames, height, width");
  const std::int64_t stride = config.spatial_stride();
  const auto near = [&](std::int64_t side) { return std::max(stride, (side + stride / 2) / stride * stride); };
  require(video.size(3) % stride == 0 && video.size(4) % stride == 0, [&] {
    return cat("[vae.encode] video: found ", video.size(3), " x ", video.size(4), " pixels, expected multiples of ",
               stride, "; crop or resize it, to ", near(video.size(3)), " x ", near(video.size(4)), " for example");
  });
}

/// Every chunk of a stream has the batch and the size of the first.
void require_same_size(const char* what, const at::Tensor& chunk, std::vector<std::int64_t>& size) {
  const std::vector<std::int64_t> found = {chunk.size(0), chunk.size(3), chunk.size(4)};
  if (size.empty()) size = found;
  require(found == size, [&] {
    return cat(what, ": found a batch, height and width of ", shape_string(found), ", expected ", shape_string(size),
               " as in the first chunk");
  });
}

}  // namespace

WanVaeImpl::WanVaeImpl(const VaeConfig& config, const VaeOptions& options)
    : config_(checked(config, options)),
      options_(options),
      encoder_(config, weight_options(options)),
      decoder_(config, weight_options(options)),
      quant_conv_(2 * config.z_dim, 2 * config.z_dim, std::vector<std::int64_t>{1, 1, 1}, weight_options(options)),
      post_quant_conv_(config.z_dim, config.z_dim, std::vector<std::int64_t>{1, 1, 1}, weight_options(options)) {
  register_module("encoder", encoder_);
  register_module("quant_conv", quant_conv_);
  register_module("post_quant_conv", post_quant_conv_);
  register_module("decoder", decoder_);
}

VaePosterior WanVaeImpl::encode(const at::Tensor& video) {
  require_pixels(video, config_);
  const std::int64_t frames = video.size(2);
  require(frames % kVaeChunk == 1, [&] {
    const std::int64_t fewer = (frames - 1) / kVaeChunk * kVaeChunk + 1;
    return cat("[vae.encode] video: found ", frames, " frames, expected 4k + 1; the nearest counts are ", fewer,
               " and ", fewer + kVaeChunk);
  });
  const at::NoGradGuard no_grad;
  VaeEncodeStream stream(*this);
  std::vector<at::Tensor> features, moments;
  std::int64_t waiting = 0;
  const auto flush = [&] {
    moments.push_back(stream.moments(at::cat(features, 2)).to(video.device()));
    features.clear();
    waiting = 0;
  };
  for (std::int64_t begin = 0, count = 1; begin < frames; begin += count) {
    count = begin == 0 ? 1 : std::min(frames - begin, together() * kVaeChunk);
    features.push_back(stream.features(video.narrow(2, begin, count)));
    waiting += features.back().size(2);
    if (waiting >= kProjected) flush();
  }
  if (waiting > 0) flush();
  const auto parts = at::cat(moments, 2).chunk(2, 1);
  return {parts[0].contiguous(), parts[1].clamp(kLeastLogvar, kMostLogvar)};
}

void WanVaeImpl::decode(const at::Tensor& latents, const Sink& sink) {
  const at::NoGradGuard no_grad;
  require_features("[vae.decode] latents", latents, config_.z_dim,
                   cat("latent frames, ", sides_text(config_.spatial_stride())));
  VaeDecodeStream stream(*this);
  for (std::int64_t begin = 0; begin < latents.size(2); begin += kProjected) {
    const std::int64_t count = std::min(kProjected, latents.size(2) - begin);
    const at::Tensor projected = stream.project(latents.narrow(2, begin, count));
    for (std::int64_t i = 0, part = 1; i < count; i += part) {
      // The first frame runs by itself: it skips what the others pass through.
      part = begin + i == 0 ? 1 : std::min(count - i, together());
      sink(stream.frames(projected.narrow(2, i, part)));
    }
  }
}

at::Tensor WanVaeImpl::decode(const at::Tensor& latents) {
  at::Tensor video;
  std::int64_t place = 0;
  decode(latents, [&](const at::Tensor& frames) {
    if (!video.defined()) {
      const std::int64_t count = 1 + config_.temporal_stride() * (latents.size(2) - 1);
      video = at::empty({frames.size(0), frames.size(1), count, frames.size(3), frames.size(4)},
                        frames.options().device(latents.device()));
    }
    video.narrow(2, place, frames.size(2)).copy_(frames);
    place += frames.size(2);
  });
  return video;
}

NamedTensors WanVaeImpl::tensors() const {
  NamedTensors out;
  for (const auto& item : named_parameters()) out.emplace_back(item.key(), item.value());
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return out;
}

bool WanVaeImpl::cuts(std::int64_t height, std::int64_t width) const {
  return options_.tiling && options_.tiling->cuts(height, width);
}

std::int64_t WanVaeImpl::together() const {
  if (options_.together > 0) return options_.together;
  return options_.device.is_cuda() ? kTogetherOnGpu : 1;
}

VaeEncodeStream::VaeEncodeStream(WanVaeImpl& vae)
    : vae_(vae), run_(vae.options_.tiling, 1, vae.config_.spatial_stride()) {}

at::Tensor VaeEncodeStream::features(const at::Tensor& frames) {
  require_pixels(frames, vae_.config_);
  require_same_size("[vae.encode] chunk", frames, size_);
  const bool cut = vae_.cuts(frames.size(3), frames.size(4));
  return run_.run(frames.to(vae_.options_.device, vae_.options_.compute),
                  [&](const at::Tensor& tile, FeatureCache& cache) {
                    const at::Tensor x = vae_.encoder_->forward(tile, cache);
                    // Tiles are blended as moments.
                    return cut ? vae_.quant_conv_->forward(x).to(vae_.result_type()) : x;
                  });
}

at::Tensor VaeEncodeStream::moments(const at::Tensor& features) const {
  return vae_.cuts(size_[1], size_[2]) ? features : vae_.quant_conv_->forward(features).to(vae_.result_type());
}

at::Tensor VaeEncodeStream::push(const at::Tensor& frames) {
  const at::NoGradGuard no_grad;
  require_pixels(frames, vae_.config_);
  const std::int64_t expected = size_.empty() ? 1 : kVaeChunk;
  require(frames.size(2) == expected,
          [&] { return cat("[vae.encode] chunk: found ", frames.size(2), " frames, expected ", expected); });
  return moments(features(frames));
}

VaeDecodeStream::VaeDecodeStream(WanVaeImpl& vae)
    : vae_(vae), run_(vae.options_.tiling, vae.config_.spatial_stride(), 1) {}

at::Tensor VaeDecodeStream::project(const at::Tensor& latents) const {
  const std::int64_t stride = vae_.config_.spatial_stride();
  const at::Tensor x = latents.to(vae_.options_.device, vae_.options_.compute);
  return vae_.cuts(latents.size(3) * stride, latents.size(4) * stride) ? x : vae_.post_quant_conv_->forward(x);
}

at::Tensor VaeDecodeStream::frames(const at::Tensor& projected) {
  require_same_size("[vae.decode] latents", projected, size_);
  const std::int64_t stride = vae_.config_.spatial_stride();
  const bool cut = vae_.cuts(projected.size(3) * stride, projected.size(4) * stride);
  const auto model = [&](const at::Tensor& tile, FeatureCache& cache) {
    return vae_.decoder_->forward(cut ? vae_.post_quant_conv_->forward(tile) : tile, cache).to(vae_.result_type());
  };
  return run_.run(projected, model).clamp(-1, 1);
}

at::Tensor VaeDecodeStream::push(const at::Tensor& latent) {
  const at::NoGradGuard no_grad;
  require_features("[vae.decode] latents", latent, vae_.config_.z_dim,
                   cat("1, ", sides_text(vae_.config_.spatial_stride())));
  require(latent.size(2) == 1,
          [&] { return cat("[vae.decode] latents: found ", latent.size(2), " frames, expected one at a time"); });
  return frames(project(latent));
}

}  // namespace rehyat::models
