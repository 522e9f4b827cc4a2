#include "models/wan/weights.h"

#include <cstdio>
#include <map>
#include <regex>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/json.h"
#include "models/hybrid_files.h"
#include "tensor/weight_files.h"

namespace rehyat::models {
namespace {

using json = nlohmann::ordered_json;
constexpr const char* kConfig = "config.json";
constexpr const char* kStem = "diffusion_pytorch_model";
constexpr const char* kWeights = "diffusion_pytorch_model.safetensors";
constexpr const char* kIndex = "diffusion_pytorch_model.safetensors.index.json";

HybridFiles hybrid_files(const std::filesystem::path& path, bool single) {
  return single ? HybridFiles::beside(path) : HybridFiles::in_folder(path);
}

/// Removes the weights that a model left in the folder, under either name.
void remove_weights(const std::filesystem::path& folder) {
  static const std::regex ours(std::string(kStem) + R"((-\d{5}-of-\d{5})?\.safetensors(\.index\.json)?)");
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (entry.is_regular_file() && std::regex_match(entry.path().filename().string(), ours))
      std::filesystem::remove(entry.path());
  }
}

std::int64_t bytes_in(const at::Tensor& tensor, at::ScalarType type) {
  return tensor.numel() * static_cast<std::int64_t>(at::elementSize(type));
}

/// Splits in order, each part at most `most` bytes unless a single tensor is larger.
std::vector<NamedTensors> split(const NamedTensors& tensors, at::ScalarType type, std::int64_t most) {
  std::vector<NamedTensors> parts(1);
  std::int64_t filled = 0;
  for (const auto& item : tensors) {
    const std::int64_t bytes = bytes_in(item.second, type);
    if (!parts.back().empty() && filled + bytes > most) {
      parts.emplace_back();
      filled = 0;
    }
    parts.back().push_back(item);
    filled += bytes;
  }
  return parts;
}

void save_weights(const std::filesystem::path& folder, const NamedTensors& tensors, const WanSaveOptions& options) {
  const std::vector<NamedTensors> parts = split(tensors, options.type, options.max_shard_bytes);
  if (parts.size() == 1) {
    write_tensors(folder / kWeights, tensors, {{"format", "pt"}}, options.type);
    return;
  }
  json map = json::object();
  std::int64_t total = 0;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    char number[32];
    std::snprintf(number, sizeof number, "-%05zu-of-%05zu", i + 1, parts.size());
    const std::string file = cat(kStem, number, ".safetensors");
    write_tensors(folder / file, parts[i], {{"format", "pt"}}, options.type);
    for (const auto& [name, tensor] : parts[i]) {
      map[name] = file;
      total += bytes_in(tensor, options.type);
    }
  }
  write_file_atomic(folder / kIndex, json({{"metadata", {{"total_size", total}}}, {"weight_map", map}}).dump(2) + "\n");
}

NamedTensors base_tensors(const WanTransformer& model, WanLayout layout) {
  NamedTensors tensors = model->tensors(Weights::teacher);
  if (layout != WanLayout::diffusers) {
    for (auto& item : tensors) item.first = original_name(item.first);
  }
  return tensors;
}

void save_single(const std::filesystem::path& path, const WanTransformer& model, const WanSaveOptions& options) {
  require(path.extension() == ".safetensors" && !std::filesystem::is_directory(path), [&] {
    return cat(path.string(), ": found a path that is no .safetensors file, expected one for the layout comfyui");
  });
  if (path.has_parent_path()) make_folder(path.parent_path());
  // The weights are the marker of a whole model: gone while the hybrid part is replaced, written last.
  std::filesystem::remove(path);
  save_hybrid(hybrid_files(path, true), model);
  NamedTensors tensors = base_tensors(model, options.layout);
  for (auto& item : tensors) item.first = "model.diffusion_model." + item.first;
  // Shapes say all of the config but the heads, eps and the text slots.
  write_tensors(path, tensors, {{"format", "pt"}, {"config", to_original_json(model->config()).dump()}}, options.type);
}

}  // namespace

void save_model(const std::filesystem::path& path, const WanTransformer& model, const WanSaveOptions& options) {
  require(at::isFloatingType(options.type) && options.max_shard_bytes > 0, [&] {
    return cat(path.string(), ": found the type ", at::toString(options.type), " and shards of ",
               options.max_shard_bytes, " bytes, expected a floating type and at least 1 byte");
  });
  if (options.layout == WanLayout::comfyui) return save_single(path, model, options);
  make_folder(path);
  // config.json is the marker of a whole folder: gone while the rest is replaced, written last.
  std::filesystem::remove(path / kConfig);
  remove_weights(path);
  save_weights(path, base_tensors(model, options.layout), options);
  save_hybrid(hybrid_files(path, false), model);
  const json config =
      options.layout == WanLayout::original ? to_original_json(model->config()) : to_diffusers_json(model->config());
  write_file_atomic(path / kConfig, config.dump(2) + "\n");
}

void save_model(const std::filesystem::path& folder, const WanTransformer& model, at::ScalarType type) {
  WanSaveOptions options;
  options.type = type;
  save_model(folder, model, options);
}

WanTransformer load_model(const std::filesystem::path& path, const LoadOptions& options) {
  const WanCheckpoint checkpoint = open_checkpoint(path);
  const bool single = checkpoint.layout == WanLayout::comfyui;
  const Architecture sizes = checkpoint.config.architecture();
  require_as_large(static_cast<double>(sizes.outside.parameters) +
                       static_cast<double>(sizes.layers) * static_cast<double>(sizes.block.parameters),
                   *checkpoint.tensors, (single ? path : path / kConfig).string());
  WanTransformer model(checkpoint.config);
  NamedTensors targets = model->tensors(Weights::teacher);
  for (auto& item : targets) item.first = checkpoint.name(item.first);
  place_exactly(targets, *checkpoint.tensors, options.type, options.device, checkpoint.ignored);
  load_hybrid(hybrid_files(path, single), model, options.kinds);
  model->to(options.device);
  return model;
}

WanTransformer load_model(const std::filesystem::path& path, at::Device device) {
  LoadOptions options;
  options.device = device;
  return load_model(path, options);
}

bool has_model(const std::filesystem::path& path) {
  if (std::filesystem::is_regular_file(path)) return true;
  return std::filesystem::exists(path / kConfig) && has_source(path, weight_sources(kDiffusersWeights));
}

std::string model_fingerprint(const std::filesystem::path& path) {
  const bool single = std::filesystem::is_regular_file(path);
  if (!single && !std::filesystem::exists(path / kConfig)) return "";
  Hasher hasher;
  if (single) {
    hasher.update(hash_file(path));
  } else {
    hasher.update(read_file(path / kConfig, 1 << 20));
    for (const auto& file : weight_files(path, kDiffusersWeights)) hasher.update(hash_file(file));
  }
  const HybridFiles hybrid = hybrid_files(path, single);
  if (std::filesystem::exists(hybrid.settings))
    hasher.update(read_file(hybrid.settings, kMostHybridSettings)).update(hash_file(hybrid.weights));
  return hasher.digest();
}

}  // namespace rehyat::models
