#pragma once

#include <filesystem>

#include "models/video_transformer.h"

namespace rehyat::models {

constexpr std::size_t kMostHybridSettings = 16 << 20;  ///< bytes

/// The two files of a hybrid model's own part, beside the teacher's weights in whatever form those have: the attention
/// of each converted block, and the feature maps, always in float32.
struct HybridFiles {
  std::filesystem::path settings, weights;

  /// hybrid.json and hybrid.safetensors in the model's folder.
  static HybridFiles in_folder(const std::filesystem::path& folder);
  /// NAME.hybrid.json and NAME.hybrid.safetensors beside a model's single file NAME.safetensors.
  static HybridFiles beside(const std::filesystem::path& file);
};

/// Writes the two files. Where no block is converted it removes those that an earlier model left.
void save_hybrid(const HybridFiles& files, const VideoTransformer& model);
/// Converts a model's blocks and reads their feature maps; nothing where there are no such files. Throws UserError with
/// file, found and expected. `kinds`: those that the files may name.
void load_hybrid(const HybridFiles& files, const VideoTransformer& model,
                 const ops::AttentionKinds& kinds = ops::built_in_kinds());

}  // namespace rehyat::models
