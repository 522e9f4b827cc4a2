#include "models/encoder_settings.h"

namespace rehyat::models {

void EncoderSettings::fields(config::Fields& f, const std::string& when, const std::function<bool()>& have_weights) {
  const std::vector<std::pair<std::string, Precision>> types = {{"f32", Precision::f32}, {"bf16", Precision::bf16}};
  f.choice("vae_precision", vae_precision, types, "type that the VAE computes in; its norms are float32")
      .only(when, have_weights);
  f.choice("vae_weights_precision", vae_weights_precision, types, "type that the VAE's weights are held in")
      .only(when, have_weights);
  f.section("vae_tiling", vae_tiling, "run the VAE on overlapping tiles of larger frames, in less memory")
      .only(when, have_weights);
  f.choice("text_precision", text_precision,
           {{"stored", TextPrecision::stored}, {"f32", TextPrecision::f32}, {"bf16", TextPrecision::bf16}},
           "type of UMT5's weights and products; stored: that of its files")
      .only(when, have_weights);
}

std::vector<std::string> EncoderSettings::given() const {
  std::vector<std::string> out;
  if (vae_precision != Precision::f32) out.emplace_back("vae_precision");
  if (vae_weights_precision != Precision::f32) out.emplace_back("vae_weights_precision");
  if (vae_tiling) out.emplace_back("vae_tiling");
  if (text_precision != TextPrecision::stored) out.emplace_back("text_precision");
  return out;
}

VaeOptions EncoderSettings::vae(at::Device device) const {
  return {device, compute_type(vae_precision, device), compute_type(vae_weights_precision, device), vae_tiling};
}

std::optional<at::ScalarType> EncoderSettings::text() const {
  if (text_precision == TextPrecision::stored) return std::nullopt;
  return text_precision == TextPrecision::bf16 ? at::kBFloat16 : at::kFloat;
}

}  // namespace rehyat::models
