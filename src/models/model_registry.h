#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "models/encoder_family.h"
#include "models/model_family.h"

namespace rehyat::models {

/// The families of models and encoders that a program knows. A value, handed down from where the program begins.
class ModelRegistry {
 public:
  /// At least one, with different names.
  explicit ModelRegistry(std::vector<std::shared_ptr<const ModelFamily>> families,
                         EncoderRegistry encoders = known_encoders());

  /// Throws UserError on an unknown name, with the known ones.
  const ModelFamily& named(const std::string& name) const;
  /// The family whose files these are. What none recognises goes to the first, whose reading says what is wrong.
  const ModelFamily& of_files(const std::filesystem::path& path) const;
  const ModelFamily& of(const VideoTransformer& model) const;
  std::vector<std::string> names() const;
  /// The published model of that name. Throws UserError on an unknown one, with the known ones.
  PublishedArchitecture published(const std::string& name) const;
  /// The published model that a path names: "weights/Wan2.1-T2V-1.3B-Diffusers" is of wan2.1-t2v-1.3b. The longest name
  /// counts; nothing where there is none.
  std::optional<PublishedArchitecture> published_as(const std::filesystem::path& path) const;
  std::vector<std::string> published_names() const;
  /// Whether a family can read the sizes of a model there. Throws nothing.
  bool has_architecture(const std::filesystem::path& path) const;
  /// What makes the latents and embeddings that these models take.
  const EncoderRegistry& encoders() const { return encoders_; }

  /// Nothing for an empty path.
  ModelFiles find(const std::filesystem::path& weights) const;
  Architecture read_architecture(const std::filesystem::path& path) const;
  VideoTransformer load(const std::filesystem::path& path, const LoadOptions& options = {}) const;
  void save(const std::filesystem::path& path, const VideoTransformer& model, const SaveOptions& options = {}) const;
  std::string fingerprint(const std::filesystem::path& path) const;

 private:
  std::vector<PublishedArchitecture> all_published() const;

  std::vector<std::shared_ptr<const ModelFamily>> families_;
  EncoderRegistry encoders_;
};

/// Every family of this program, one line each.
ModelRegistry known_models();

}  // namespace rehyat::models
