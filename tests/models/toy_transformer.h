#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "config/config.h"
#include "models/encoder_family.h"
#include "models/model_family.h"

/// A second family of video transformers, as unlike Wan as the interfaces allow: what the program does has to work for
/// it without knowing it. Its blocks run attention and feed-forward side by side and see the text only through their
/// modulation; tokens are 1 x 1 x 3 latent values, or have more slices; its codec has a stride of 2 x 4 x 8 and 6
/// channels.
namespace rehyat::testing {

struct ToyConfig {
  std::int64_t width = 24, depth = 3, heads = 2, words = 6, word_width = 10;
  std::int64_t patch_slices = 1;  ///< latent slices of a token

  void fields(config::Fields& f);
  void validate() const;
  models::Architecture architecture() const;
};

/// Folders with toy.json and toy.safetensors.
class ToyFamily : public models::ModelFamily {
 public:
  std::string name() const override { return "toy"; }
  bool recognises(const std::filesystem::path& path) const override;
  models::Architecture read_architecture(const std::filesystem::path& path) const override;
  models::VideoTransformer load(const std::filesystem::path& path, const models::LoadOptions& options) const override;
  void save(const std::filesystem::path& path, const models::VideoTransformer& model,
            const models::SaveOptions& options) const override;
  std::vector<models::ModelFormat> formats() const override { return {{"toy", "model"}}; }
  bool is_whole(const std::filesystem::path& path) const override { return recognises(path); }
  std::string fingerprint(const std::filesystem::path& path) const override;
  nlohmann::ordered_json settings(const config::Section& given) const override;
  nlohmann::ordered_json with_layers(nlohmann::ordered_json settings, std::int64_t layers) const override;
  models::Architecture architecture(const nlohmann::ordered_json& settings) const override;
  models::VideoTransformer make(const nlohmann::ordered_json& settings) const override;
};

/// Means and differences of 2 frames of 4 x 8 pixels of each colour. The first frame stands alone.
class ToyCodec : public models::VideoCodec {
 public:
  models::VideoGeometry geometry() const override;
  at::Tensor encode(const at::Tensor& video) override;
  at::Tensor decode(const at::Tensor& latents) override;
  std::string fingerprint() const override { return "toy codec"; }
};

/// The toy codec, and words by their letters.
class ToyEncoders : public models::EncoderFamily {
 public:
  std::string name() const override { return "toy"; }
  bool has_files(const models::EncoderFiles&) const override { return false; }
  models::VideoGeometry published_geometry() const override { return ToyCodec().geometry(); }
  models::Encoders open(const models::EncoderRequest& request) const override;
};

}  // namespace rehyat::testing
