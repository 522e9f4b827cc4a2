#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "config/config.h"
#include "files/safetensors.h"
#include "models/video_transformer.h"

/// Conversion of a softmax transformer into a hybrid one.
namespace rehyat::models {

enum class BlockPattern { all, none, first, last, interleaved, every };

/// Which blocks are converted: a list, or a pattern.
struct BlockChoice {
  std::optional<std::vector<std::int64_t>> list;
  BlockPattern pattern = BlockPattern::all;
  std::int64_t count = 0;  ///< first, last, interleaved: how many
  std::int64_t step = 2;   ///< every: blocks 0, step, 2 step, ...

  void fields(config::Fields& f);
  /// Ascending block numbers; throws UserError on numbers that the model lacks or that are repeated.
  std::vector<std::int64_t> resolve(std::int64_t layers) const;
};

/// The `hybrid` section.
struct HybridConfig {
  BlockChoice blocks;
  BlockAttention attention{.spec = {}, .phi = {}};

  void fields(config::Fields& f);
};

using BlockMap = std::map<std::int64_t, BlockAttention>;

BlockMap resolve(const HybridConfig& config, std::int64_t layers);

/// Converts the named blocks, keeping the teacher's weights; the feature maps of a block depend on (seed, block) alone.
/// The latent's size sets the start of the normalizers that need a window's size.
void convert(const VideoTransformer& model, const BlockMap& blocks, std::uint64_t seed,
             const std::array<std::int64_t, 3>& latent);

/// What hybrid.safetensors says of itself: "format": "pt", "hybrid_format": "1", "kind" and "normalizer" (by name, more
/// than one separated by commas; no normalizer where nothing is blended) and "blocks", the JSON of to_json.
safetensors::Metadata hybrid_metadata(const BlockMap& blocks);
/// Throws UserError unless the file `where` was made for exactly these blocks: the same weights compute another
/// function under another normalizer.
void check_hybrid_metadata(const safetensors::Metadata& metadata, const BlockMap& blocks, const std::string& where,
                           const ops::AttentionKinds& kinds = ops::built_in_kinds());

nlohmann::ordered_json to_json(const BlockMap& blocks);
/// `kinds`: those that the JSON may name.
BlockMap block_map_from_json(const nlohmann::ordered_json& json, const std::string& where,
                             const ops::AttentionKinds& kinds = ops::built_in_kinds());
/// The converted blocks of a model.
BlockMap block_map_of(const VideoTransformer& model);

}  // namespace rehyat::models
