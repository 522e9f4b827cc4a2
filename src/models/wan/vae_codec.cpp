#include "models/wan/vae_codec.h"

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "models/wan/vae_weights.h"

namespace rehyat::models {
namespace {

constexpr std::int64_t kVaeColours = 3;

at::Tensor per_channel(const std::vector<double>& values, at::ScalarType type) {
  return at::tensor(values, at::kDouble).to(type).view({1, -1, 1, 1, 1});
}

}  // namespace

WanVaeCodec::WanVaeCodec(WanVae vae) : vae_(std::move(vae)) {
  const VaeConfig& c = vae_->config();
  require(c.in_channels == kVaeColours && c.out_channels == kVaeColours && c.temporal_stride() == kVaeChunk, [&] {
    return cat("[vae] found ", c.in_channels, " and ", c.out_channels, " colours and a stride of ", c.temporal_stride(),
               " frames, expected ", kVaeColours, ", ", kVaeColours, " and ", kVaeChunk);
  });
  for (const auto& [key, values] :
       {std::pair{"latents_mean", &c.latents_mean}, std::pair{"latents_std", &c.latents_std}}) {
    require(static_cast<std::int64_t>(values->size()) == c.z_dim, [&, key = key, values = values] {
      return cat("[vae] config.json: found ", values->size(), " values of ", key, ", expected ", c.z_dim,
                 ", one for each latent channel");
    });
  }
  for (const double std : c.latents_std)
    require(std > 0, [&] { return cat("[vae] latents_std: found ", std, ", expected numbers above 0"); });
  mean_ = per_channel(c.latents_mean, vae_->result_type());
  inverse_std_ = 1.0 / per_channel(c.latents_std, vae_->result_type());
  fingerprint_ = cat("wan-vae-1:", vae_checksum(vae_), latent_settings(vae_->options()));
}

at::Tensor WanVaeCodec::encode(const at::Tensor& video) {
  require(video.dim() == 4, [&] {
    return cat("[vae.encode] video: found ", shape_string(video.sizes().vec()),
               ", expected [3, frames, height, width]");
  });
  const at::Tensor z = vae_->encode(video.unsqueeze(0)).mode();
  require_finite(z, "[vae.encode] latents");
  return ((z - mean_.to(z.device())) * inverse_std_.to(z.device())).squeeze(0);
}

at::Tensor WanVaeCodec::denormalise(const at::Tensor& latents) const {
  const std::int64_t z = vae_->config().z_dim;
  require(latents.dim() == 4 && latents.size(0) == z && latents.is_floating_point(), [&] {
    return cat("[vae.decode] latents: found ", shape_string(latents.sizes().vec()), " ",
               at::toString(latents.scalar_type()), ", expected floating point [", z, ", frames, ",
               sides_text(vae_->config().spatial_stride()), "]");
  });
  return latents.unsqueeze(0).to(vae_->result_type()) / inverse_std_.to(latents.device()) + mean_.to(latents.device());
}

at::Tensor WanVaeCodec::decode(const at::Tensor& latents) {
  return vae_->decode(denormalise(latents)).squeeze(0);
}

void WanVaeCodec::decode(const at::Tensor& latents, const WanVaeImpl::Sink& sink) {
  vae_->decode(denormalise(latents), [&](const at::Tensor& frames) { sink(frames.squeeze(0)); });
}

}  // namespace rehyat::models
