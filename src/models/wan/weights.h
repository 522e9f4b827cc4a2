#pragma once

#include <filesystem>

#include "models/hybrid.h"
#include "models/wan/transformer.h"

/// A model folder: config.json and diffusion_pytorch_model.safetensors in diffusers' layout and names; for a hybrid
/// model also hybrid.json (the attention of each converted block) and hybrid.safetensors (its feature maps).
namespace rehyat::models {

void save_model(const std::filesystem::path& folder, const WanTransformer& model, at::ScalarType type = at::kFloat);

/// Weights in float32. Reads a single file or a sharded index; every tensor of the model must be there, with its shape,
/// and nothing else; NaN and infinite weights are refused. Throws UserError with file, tensor, found and expected.
WanTransformer load_model(const std::filesystem::path& folder, at::Device device = at::kCPU);

/// Checksum of the folder's config and weights; "" when the folder holds no model.
std::string model_fingerprint(const std::filesystem::path& folder);

/// Copies tensors by name into the model; `where` names the file in messages.
void assign(const NamedTensors& targets, const safetensors::Reader& reader);

}  // namespace rehyat::models
