#pragma once

#include "models/model_family.h"

namespace rehyat::models {

/// Wan2.1's text-to-video transformers, in every published layout. Formats: diffusers, original, comfyui.
class WanFamily : public ModelFamily {
 public:
  std::string name() const override;
  /// A pipeline's folder, a .safetensors file, or a folder whose config.json is of a Wan transformer or names no class.
  bool recognises(const std::filesystem::path& path) const override;
  bool has_architecture(const std::filesystem::path& path) const override;
  /// Wan2.1's text-to-video models.
  std::vector<PublishedArchitecture> published() const override;
  ModelFiles find(const std::filesystem::path& weights) const override;
  Architecture read_architecture(const std::filesystem::path& path) const override;
  VideoTransformer load(const std::filesystem::path& path, const LoadOptions& options) const override;
  void save(const std::filesystem::path& path, const VideoTransformer& model,
            const SaveOptions& options) const override;
  std::vector<ModelFormat> formats() const override;
  bool is_whole(const std::filesystem::path& path) const override;
  std::string fingerprint(const std::filesystem::path& path) const override;
  nlohmann::ordered_json settings(const config::Section& given) const override;
  nlohmann::ordered_json with_layers(nlohmann::ordered_json settings, std::int64_t layers) const override;
  Architecture architecture(const nlohmann::ordered_json& settings) const override;
  VideoTransformer make(const nlohmann::ordered_json& settings) const override;
};

}  // namespace rehyat::models
