#pragma once

#include <filesystem>

#include "models/hybrid.h"
#include "models/model_family.h"
#include "models/wan/checkpoint.h"
#include "models/wan/transformer.h"

/// A transformer's files, in any of the layouts of models/wan/checkpoint.h. A hybrid model has beside its weights the
/// attention of each converted block and its feature maps: hybrid.json and hybrid.safetensors in a folder,
/// NAME.hybrid.json and NAME.hybrid.safetensors beside a single file NAME.safetensors.
namespace rehyat::models {

struct WanSaveOptions {
  WanLayout layout = WanLayout::diffusers;
  at::ScalarType type = at::kFloat;               ///< of the weights; feature maps are always float32
  std::int64_t max_shard_bytes = 10'000'000'000;  ///< more is split behind an index; a single file is never split
};

/// Writes a folder, or for the layout comfyui the file `path`, which must end in .safetensors. The weights of an
/// earlier model there are removed first. Throws UserError.
void save_model(const std::filesystem::path& path, const WanTransformer& model, const WanSaveOptions& options);
/// In diffusers' layout.
void save_model(const std::filesystem::path& folder, const WanTransformer& model, at::ScalarType type = at::kFloat);

/// Reads a folder or a single file of any layout, never holding two copies of the weights. Every tensor of the model
/// must be there, with its shape, and nothing else; NaN and infinite weights are refused. Throws UserError with file,
/// tensor, found and expected.
WanTransformer load_model(const std::filesystem::path& path, const LoadOptions& options);
/// In float32.
WanTransformer load_model(const std::filesystem::path& path, at::Device device = at::kCPU);

/// Whether the files of a model are there, by their names alone.
bool has_model(const std::filesystem::path& path);

/// Checksum of config and weights; "" when the folder holds no model or there is no such file.
std::string model_fingerprint(const std::filesystem::path& path);

}  // namespace rehyat::models
