#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "models/wan/vae.h"
#include "tensor/tensor_source.h"

/// Weights of the video VAE under either of the published names.
namespace rehyat::models {

/// A diffusers folder (config.json and diffusion_pytorch_model.safetensors or its shards), or one safetensors or
/// .pth file in either naming with the sizes of the published model. Throws UserError with file, tensor, found and
/// expected.
WanVae load_vae(const std::filesystem::path& path, const VaeOptions& options = {});

/// The sizes of these weights, of which none is read.
VaeConfig read_vae_config(const std::filesystem::path& path);

/// The same from any container. Every tensor of the model must be there and nothing else; names of the original
/// Wan2.1_VAE are recognised and translated.
WanVae load_vae(const VaeConfig& config, std::unique_ptr<TensorSource> source, const VaeOptions& options = {});

/// Writes a diffusers folder, with the weights as they are held.
void save_vae(const std::filesystem::path& folder, const WanVae& vae);

/// diffusers' name of a tensor of the original Wan2.1_VAE, "" where there is none. `num_res_blocks` as in VaeConfig:
/// the original numbers the decoder's layers without regard to stages.
std::string diffusers_vae_name(const std::string& original, std::int64_t num_res_blocks);

/// Checksum of config and weights, the same for both namings.
std::string vae_checksum(const WanVae& vae);

}  // namespace rehyat::models
