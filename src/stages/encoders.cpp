#include "stages/encoders.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/hash.h"
#include "core/log.h"
#include "core/strings.h"
#include "files/checksum_memory.h"
#include "models/embedded/embedded_encoders.h"
#include "models/umt5/text_encoder.h"
#include "models/wan/vae_codec.h"
#include "models/wan/vae_weights.h"
#include "text/clean.h"

namespace rehyat::stages {
namespace {

namespace fs = std::filesystem;

/// Checksum of a file, or of the names and contents of all files of a folder.
std::string checksum_of(const fs::path& path, ChecksumMemory& memory) {
  if (!fs::is_directory(path)) return memory.at(path);
  std::vector<fs::path> files;
  for (const auto& entry : fs::recursive_directory_iterator(path)) {
    if (entry.is_regular_file()) files.push_back(entry.path());
  }
  std::sort(files.begin(), files.end());
  Hasher hasher;
  for (const fs::path& file : files) hasher.update(fs::relative(file, path).generic_string()).update(memory.at(file));
  return hasher.digest();
}

std::string fingerprint_of(const std::vector<fs::path>& paths, const fs::path& memory_file) {
  ChecksumMemory memory(memory_file);
  Hasher hasher;
  for (const fs::path& path : paths) hasher.update(checksum_of(path, memory));
  // A dry run leaves no folder behind.
  if (fs::is_directory(memory_file.parent_path())) memory.save();
  return hasher.digest();
}

using DeviceOf = std::function<at::Device()>;

class LazyWanCodec : public models::VideoCodec {
 public:
  LazyWanCodec(fs::path weights, const ModelConfig& model, std::int64_t channels, DeviceOf device, fs::path memory)
      : weights_(std::move(weights)),
        model_(model),
        channels_(channels),
        device_(std::move(device)),
        memory_(std::move(memory)) {}

  at::Tensor encode(const at::Tensor& video) override { return codec().encode(video.to(device_())).to(at::kCPU); }
  at::Tensor decode(const at::Tensor& latents) override { return codec().decode(latents.to(device_())).to(at::kCPU); }
  std::string fingerprint() const override {
    if (fingerprint_.empty())
      fingerprint_ =
          cat("wan-vae-1:", fingerprint_of({weights_}, memory_), latent_settings(model_.vae_options(at::kCPU)));
    return fingerprint_;
  }
  void forget() { codec_.reset(); }

 private:
  models::WanVaeCodec& codec() {
    if (!codec_) {
      codec_ = std::make_unique<models::WanVaeCodec>(models::load_vae(weights_, model_.vae_options(device_())));
      const std::int64_t found = codec_->vae()->config().z_dim;
      require(found == channels_, [&] {
        return cat(weights_.string(), ": found a VAE of ", found, " latent channels, expected ", channels_,
                   " as the transformer takes");
      });
    }
    return *codec_;
  }

  fs::path weights_;
  ModelConfig model_;
  std::int64_t channels_;
  DeviceOf device_;
  fs::path memory_;
  mutable std::string fingerprint_;
  std::unique_ptr<models::WanVaeCodec> codec_;
};

class LazyUmt5 : public models::TextEncoder {
 public:
  LazyUmt5(models::Umt5TextOptions options, std::int64_t width, DeviceOf device, fs::path memory)
      : options_(std::move(options)), width_(width), device_(std::move(device)), memory_(std::move(memory)) {}

  at::Tensor encode(const std::vector<std::string>& prompts) override { return encoder().encode(prompts); }
  std::string fingerprint() const override {
    if (fingerprint_.empty())
      fingerprint_ =
          cat("umt5-1:", options_.length, ':', fingerprint_of({options_.weights, options_.tokenizer}, memory_), ':',
              text::kCleaningVersion, options_.type ? cat(':', c10::toString(*options_.type)) : "");
    return fingerprint_;
  }
  void forget() { encoder_.reset(); }

 private:
  models::Umt5TextEncoder& encoder() {
    if (!encoder_) {
      options_.device = device_();
      log::info("loading the text encoder from ", options_.weights.string());
      encoder_ = std::make_unique<models::Umt5TextEncoder>(options_);
      require(encoder_->width() == width_, [&] {
        return cat(options_.weights.string(), ": found embeddings of width ", encoder_->width(), ", expected ", width_,
                   " as the transformer takes");
      });
    }
    return *encoder_;
  }

  models::Umt5TextOptions options_;
  std::int64_t width_;
  DeviceOf device_;
  fs::path memory_;
  mutable std::string fingerprint_;
  std::unique_ptr<models::Umt5TextEncoder> encoder_;
};

/// Whether the published encoders are to be used.
bool published(const ModelConfig& model, const fs::path& vae, const fs::path& text) {
  if (model.encoders == Encoders::embedded) return false;
  if (model.encoders == Encoders::automatic && vae.empty() && text.empty()) return false;
  const auto needed = [&](const fs::path& path, const char* what, const char* key) {
    require(!path.empty(), [&] {
      return cat("model.encoders: found no ", what, " in ", model.weights.string(), ", expected one; name it with ",
                 key, ", or take the embedded encoders with model.encoders=embedded");
    });
  };
  needed(vae, "VAE", "model.vae");
  needed(text, "text encoder", "model.text");
  return true;
}

/// The embedded encoders have no types and no tiles.
void refuse_idle_settings(const ModelConfig& model) {
  const auto refuse = [](bool given, const char* key) {
    require(!given, [&] {
      return cat("model.", key, ": found a setting of the published encoders, expected none with the embedded ones; ",
                 "remove it, or name the published ones with model.vae and model.text");
    });
  };
  refuse(model.vae_precision != Precision::f32, "vae_precision");
  refuse(model.vae_weights_precision != Precision::f32, "vae_weights_precision");
  refuse(model.vae_tiling.has_value(), "vae_tiling");
  refuse(model.text_precision != TextPrecision::stored, "text_precision");
}

}  // namespace

RunEncoders make_encoders(const ModelConfig& model, const ModelFiles& files, const models::Architecture& architecture,
                          const DeviceOf& device, const fs::path& folder) {
  RunEncoders out;
  const fs::path vae = model.vae.empty() ? files.vae : model.vae, text = model.text.empty() ? files.text : model.text;
  out.wan = published(model, vae, text);
  if (!out.wan) {
    refuse_idle_settings(model);
    out.codec = std::make_unique<models::BlockTransformCodec>();
    models::SeededTextOptions options;
    options.length = architecture.text_tokens;
    options.width = architecture.text_width;
    out.text = std::make_unique<models::SeededTextEncoder>(options);
    out.forget = [] {};
    return out;
  }
  auto codec = std::make_unique<LazyWanCodec>(vae, model, architecture.channels, device, folder / "checksums-vae.json");
  models::Umt5TextOptions options = models::find_umt5(text);
  options.length = architecture.text_tokens;
  if (model.text_precision != TextPrecision::stored)
    options.type = model.text_precision == TextPrecision::bf16 ? at::kBFloat16 : at::kFloat;
  auto encoder =
      std::make_unique<LazyUmt5>(std::move(options), architecture.text_width, device, folder / "checksums-text.json");
  out.forget = [vae_of = codec.get(), text_of = encoder.get()] {
    vae_of->forget();
    text_of->forget();
  };
  out.codec = std::move(codec);
  out.text = std::move(encoder);
  return out;
}

}  // namespace rehyat::stages
