#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
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
  /// No block of any model.
  bool is_none() const { return list ? list->empty() : pattern == BlockPattern::none; }
  /// Ascending block numbers. Throws UserError, which begins with `key`, on numbers that the model lacks or that are
  /// repeated.
  std::vector<std::int64_t> resolve(std::int64_t layers, const std::string& key = "hybrid.blocks") const;
};

/// Blocks that are converted to the same attention.
struct BlockGroup {
  BlockChoice blocks;
  BlockAttention attention{.spec = {}, .phi = {}};

  void fields(config::Fields& f);
};

/// The `hybrid` section: one group of blocks, or several.
struct HybridConfig {
  BlockChoice blocks;  ///< with `attention`, the one group
  BlockAttention attention{.spec = {}, .phi = {}};
  std::vector<BlockGroup> groups;  ///< in place of blocks and attention

  void fields(config::Fields& f);
  std::vector<BlockGroup> all_groups() const;
  /// An attention that some block is converted to and that does not support the form; none where all do.
  std::optional<ops::AttentionSpec> without(AttentionForm form) const;
};

/// The attention of each converted block.
using BlockMap = std::map<std::int64_t, BlockAttention>;

/// Throws UserError on blocks that the model lacks, and on a block in two groups.
BlockMap resolve(const HybridConfig& config, std::int64_t layers);

/// The attention of every block of a model of so many layers.
std::vector<ops::AttentionSpec> attention_specs(const BlockMap& blocks, std::int64_t layers);

/// Each attention of the blocks once, with the number of its blocks; by the first block that has it.
std::vector<std::pair<BlockAttention, std::int64_t>> attentions_of(const BlockMap& blocks);

/// Softmax keys of a query in the middle of a video with a latent of T x H x W.
std::int64_t window_tokens(const Architecture& sizes, const std::array<std::int64_t, 3>& latent,
                           const ops::AttentionSpec& spec);

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
