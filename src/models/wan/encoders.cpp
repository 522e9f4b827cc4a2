#include "models/wan/encoders.h"

#include <utility>

#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "models/assumed_encoders.h"
#include "models/umt5/text_encoder.h"
#include "models/wan/vae_codec.h"
#include "models/wan/vae_weights.h"
#include "text/clean.h"

namespace rehyat::models {
namespace {

class LazyWanCodec : public VideoCodec {
 public:
  explicit LazyWanCodec(EncoderRequest request)
      : request_(std::move(request)), geometry_(read_vae_config(request_.files.vae).geometry()) {
    require(geometry_.channels == request_.model.channels, [&] {
      return cat(request_.files.vae.string(), ": found a VAE of ", geometry_.channels, " latent channels, expected ",
                 request_.model.channels, " as the transformer takes");
    });
    if (const auto& tiling = request_.settings.vae_tiling) tiling->validate(geometry_.height);
  }

  VideoGeometry geometry() const override { return geometry_; }
  at::Tensor encode(const at::Tensor& video) override {
    return codec().encode(video.to(request_.device())).to(at::kCPU);
  }
  at::Device device() const override { return request_.device(); }
  at::Tensor decode(const at::Tensor& latents) override {
    return codec().decode(latents.to(request_.device())).to(at::kCPU);
  }
  std::string fingerprint() const override {
    if (fingerprint_.empty())
      fingerprint_ = cat("wan-vae-1:", request_.checksum({request_.files.vae}, "vae"),
                         latent_settings(request_.settings.vae(at::kCPU)));
    return fingerprint_;
  }
  void release() override { codec_.reset(); }

 private:
  WanVaeCodec& codec() {
    if (!codec_)
      codec_ = std::make_unique<WanVaeCodec>(load_vae(request_.files.vae, request_.settings.vae(request_.device())));
    return *codec_;
  }

  EncoderRequest request_;
  VideoGeometry geometry_;
  mutable std::string fingerprint_;
  std::unique_ptr<WanVaeCodec> codec_;
};

class LazyUmt5 : public TextEncoder {
 public:
  explicit LazyUmt5(EncoderRequest request) : request_(std::move(request)), options_(find_umt5(request_.files.text)) {
    options_.length = request_.model.text_tokens;
    options_.type = request_.settings.text();
  }

  at::Tensor encode(const std::vector<std::string>& prompts) override { return encoder().encode(prompts); }
  std::string fingerprint() const override {
    if (fingerprint_.empty())
      fingerprint_ =
          cat("umt5-1:", options_.length, ':', request_.checksum({options_.weights, options_.tokenizer}, "text"), ':',
              text::kCleaningVersion, options_.type ? cat(':', c10::toString(*options_.type)) : "");
    return fingerprint_;
  }
  void release() override { encoder_.reset(); }

 private:
  Umt5TextEncoder& encoder() {
    if (!encoder_) {
      options_.device = request_.device();
      log::info("loading the text encoder from ", options_.weights.string());
      encoder_ = std::make_unique<Umt5TextEncoder>(options_);
      const std::int64_t expected = request_.model.text_width;
      require(encoder_->width() == expected, [&] {
        return cat(options_.weights.string(), ": found embeddings of width ", encoder_->width(), ", expected ",
                   expected, " as the transformer takes");
      });
    }
    return *encoder_;
  }

  EncoderRequest request_;
  Umt5TextOptions options_;
  mutable std::string fingerprint_;
  std::unique_ptr<Umt5TextEncoder> encoder_;
};

bool vae_is_here(const EncoderFiles& files) {
  std::error_code ignored;
  return !files.vae.empty() && std::filesystem::exists(files.vae, ignored);
}

/// Whether what `find_umt5` finds is there.
bool text_is_here(const EncoderFiles& files) {
  if (files.text.empty()) return false;
  try {
    const Umt5TextOptions found = find_umt5(files.text);
    return std::filesystem::exists(found.weights) && std::filesystem::exists(found.tokenizer);
  } catch (const std::exception&) {
    return false;
  }
}

}  // namespace

std::vector<std::string> WanEncoders::missing(const EncoderFiles& files) const {
  std::vector<std::string> out;
  const auto add = [&](const char* what, const char* key, const std::filesystem::path& path) {
    out.push_back(cat(what, " (", key, path.empty() ? "" : ", ", path.string(), ")"));
  };
  if (!vae_is_here(files)) add("the VAE", "model.vae", files.vae);
  if (!text_is_here(files)) add("the text encoder", "model.text", files.text);
  return out;
}

Encoders WanEncoders::assume(const EncoderRequest& request) const {
  Encoders out;
  if (vae_is_here(request.files)) {
    out.codec = std::make_unique<LazyWanCodec>(request);
  } else {
    out.codec = std::make_unique<AssumedCodec>(published_geometry());
  }
  if (text_is_here(request.files)) {
    out.text = std::make_unique<LazyUmt5>(request);
  } else {
    out.text = std::make_unique<AssumedTextEncoder>();
  }
  return out;
}

VideoGeometry WanEncoders::published_geometry() const {
  return VaeConfig().geometry();
}

Encoders WanEncoders::open(const EncoderRequest& request) const {
  require(request.files.doubt.empty(), [&] { return request.files.doubt; });
  const auto needed = [&](const std::filesystem::path& path, const char* what, const char* key) {
    require(!path.empty(), [&] {
      return cat("model.encoders: found no ", what, " in ", request.weights.string(), ", expected one; name it with ",
                 key, ", or take the embedded encoders with model.encoders=embedded");
    });
  };
  needed(request.files.vae, "VAE", "model.vae");
  needed(request.files.text, "text encoder", "model.text");
  return {std::make_unique<LazyWanCodec>(request), std::make_unique<LazyUmt5>(request)};
}

}  // namespace rehyat::models
