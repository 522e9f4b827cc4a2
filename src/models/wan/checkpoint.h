#pragma once

#include <filesystem>
#include <memory>
#include <set>
#include <string>

#include "models/wan/config.h"
#include "tensor/tensor_source.h"

/// The published layouts of a Wan transformer, opened without reading a weight.
namespace rehyat::models {

enum class WanLayout {
  diffusers,  ///< a folder: config.json and diffusion_pytorch_model*.safetensors with diffusers' names
  original,   ///< the same files with the config and the names of the original repository
  comfyui     ///< one .safetensors file with the original names, bare or after "model.diffusion_model."
};
std::string to_string(WanLayout layout);

/// The original repository's name of a tensor; what has none (feature maps) keeps its name. The two differ in which
/// norm of a block is norm2 and which norm3.
std::string original_name(const std::string& diffusers_name);

struct WanCheckpoint {
  WanLayout layout = WanLayout::diffusers;
  WanConfig config;
  std::unique_ptr<TensorSource> tensors;
  std::string prefix;             ///< of the names in a single file
  std::set<std::string> ignored;  ///< what a single file holds beside the transformer: text encoder, VAE

  /// What the file calls the tensor that diffusers gives this name.
  std::string name(const std::string& diffusers_name) const;
};

/// Opens a folder or a .safetensors file, whichever layout it has. The config of a single file comes from its shapes:
/// heads 128 wide and eps 1e-6 unless its metadata says otherwise (`config`, a WanModel's config as JSON, or num_heads
/// and eps). Throws UserError with file, what was found and what was expected; so for weights conditioned on images.
WanCheckpoint open_checkpoint(const std::filesystem::path& path);

/// The config alone.
WanConfig read_wan_config(const std::filesystem::path& path);

}  // namespace rehyat::models
