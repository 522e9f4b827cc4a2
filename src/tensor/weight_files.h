#pragma once

#include <memory>
#include <string>

#include "files/found_source.h"
#include "tensor/tensor_source.h"

/// Weights in a folder of diffusers or transformers: one file, or an index with its shards, maybe of a variant.
namespace rehyat {

/// How a library names its weights.
struct WeightNames {
  std::string stem;  ///< of the files' names
  /// Whether the index is taken where a single file lies beside it. Diffusers looks for the index first, transformers
  /// for the single file: only the former is certain not to be a leftover.
  bool index_first = true;
};
inline const WeightNames kDiffusersWeights = {"diffusion_pytorch_model", true};
inline const WeightNames kTransformersWeights = {"model", false};

/// The names that `open_weights` looks for, in their ranks: index and single file, then variants such as
/// STEM.fp16.safetensors. Never read are pickles (.bin, .pth, .pt, .ckpt) and the other library's names.
SourceNames weight_sources(const WeightNames& names);

/// Opens them. The index and the shards must name exactly the same tensors, each in the shard where the index has it.
/// Throws UserError otherwise, and where several files may be meant.
std::unique_ptr<TensorSource> open_weights(const std::filesystem::path& folder, const WeightNames& names);

/// The files that `open_weights` reads, without opening them.
std::vector<std::filesystem::path> weight_files(const std::filesystem::path& folder, const WeightNames& names);

}  // namespace rehyat
