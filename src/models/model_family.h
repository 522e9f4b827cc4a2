#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "config/config.h"
#include "models/architecture.h"
#include "models/model_files.h"
#include "models/video_transformer.h"

namespace rehyat::models {

struct LoadOptions {
  at::Device device = at::kCPU;
  /// Type of the weights in memory: float32 masters, or another. Without one each tensor keeps the file's type, and on
  /// the CPU stays in the mapped file until it is written to. Feature maps are always float32.
  std::optional<at::ScalarType> type = at::kFloat;
  ops::AttentionKinds kinds = ops::built_in_kinds();  ///< that a hybrid model may name
};

struct SaveOptions {
  std::string format;                             ///< one of the family's; empty: its own, the first
  at::ScalarType type = at::kFloat;               ///< of the weights; feature maps are always float32
  std::int64_t max_shard_bytes = 10'000'000'000;  ///< more is split behind an index where the format can be split
};

/// One way in which a family stores a model.
struct ModelFormat {
  std::string name;
  std::filesystem::path place;  ///< under the folder of an export: a folder, or a file
};

/// The sizes of a model that is published under a name: known before its files are here.
struct PublishedArchitecture {
  std::string name;  ///< in lower case: "wan2.1-t2v-1.3b"
  Architecture architecture;
  std::string encoders;  ///< name of the encoder family that is published with it
  nlohmann::ordered_json settings = nlohmann::ordered_json::object();  ///< that its family makes such a model of
};

/// A kind of video transformer: its files, its settings and how it is made. Adding one is a folder and a line in
/// known_models().
class ModelFamily {
 public:
  virtual ~ModelFamily() = default;
  virtual std::string name() const = 0;

  /// Whether this folder or file looks like a model of the family. Throws nothing.
  virtual bool recognises(const std::filesystem::path& path) const = 0;
  /// Whether the sizes can be read there, which they cannot before a download has brought them. Throws nothing.
  virtual bool has_architecture(const std::filesystem::path& path) const { return recognises(path); }
  /// The models of the family that are known by name.
  virtual std::vector<PublishedArchitecture> published() const { return {}; }
  /// Where the parts of what the user named lie: by default all of it is the transformer. Throws UserError with file,
  /// found and expected; so do all that follow.
  virtual ModelFiles find(const std::filesystem::path& weights) const { return {weights, {}, {}, {}}; }
  /// The sizes, without reading a weight.
  virtual Architecture read_architecture(const std::filesystem::path& path) const = 0;
  virtual VideoTransformer load(const std::filesystem::path& path, const LoadOptions& options) const = 0;
  /// `model` is of this family. What a model left at `path` before is replaced.
  virtual void save(const std::filesystem::path& path, const VideoTransformer& model,
                    const SaveOptions& options) const = 0;
  /// The first is the family's own.
  virtual std::vector<ModelFormat> formats() const = 0;
  /// Whether all files of a model are there, by their names alone.
  virtual bool is_whole(const std::filesystem::path& path) const = 0;
  /// Checksum of config and weights; "" where there is no whole model.
  virtual std::string fingerprint(const std::filesystem::path& path) const = 0;

  /// The settings of a new model, checked and complete: `given` with the family's defaults filled in.
  virtual nlohmann::ordered_json settings(const config::Section& given) const = 0;
  /// The same settings of a model with so many blocks.
  virtual nlohmann::ordered_json with_layers(nlohmann::ordered_json settings, std::int64_t layers) const = 0;
  /// The sizes of a model with these settings; what is left out has the family's default.
  virtual Architecture architecture(const nlohmann::ordered_json& settings) const = 0;
  /// Such a model, its weights not yet drawn (VideoTransformerImpl::initialize).
  virtual VideoTransformer make(const nlohmann::ordered_json& settings) const = 0;
};

}  // namespace rehyat::models
