#include "models/hybrid.h"

#include <algorithm>
#include <set>

#include "core/error.h"
#include "core/strings.h"
#include "files/json.h"

namespace rehyat::models {

using json = nlohmann::ordered_json;

void BlockChoice::fields(config::Fields& f) {
  const auto counted = [this] {
    return !list &&
           (pattern == BlockPattern::first || pattern == BlockPattern::last || pattern == BlockPattern::interleaved);
  };
  f.add("list", list, "block numbers, instead of a pattern");
  f.choice("pattern", pattern,
           {{"all", BlockPattern::all},
            {"none", BlockPattern::none},
            {"first", BlockPattern::first},
            {"last", BlockPattern::last},
            {"interleaved", BlockPattern::interleaved},
            {"every", BlockPattern::every}},
           "which blocks")
      .only("without a list", [this] { return !list; });
  f.add("count", count, "first, last, interleaved: how many blocks")
      .at_least(0)
      .only("with the patterns first, last and interleaved", counted);
  f.add("step", step, "every: blocks 0, step, 2 step, ...").at_least(1).only("with the pattern every", [this] {
    return !list && pattern == BlockPattern::every;
  });
  f.shorthand("list");
}

std::vector<std::int64_t> BlockChoice::resolve(std::int64_t layers, const std::string& key) const {
  std::vector<std::int64_t> blocks = list.value_or(std::vector<std::int64_t>{});
  if (!list) {
    const bool counted =
        pattern == BlockPattern::first || pattern == BlockPattern::last || pattern == BlockPattern::interleaved;
    require(!counted || (count >= 1 && count <= layers),
            [&] { return cat(key, ".count: found ", count, ", expected 1 to ", layers, " blocks"); });
    for (std::int64_t i = 0; i < layers; ++i) {
      const bool in = pattern == BlockPattern::all || (pattern == BlockPattern::first && i < count) ||
                      (pattern == BlockPattern::last && i >= layers - count) ||
                      // Spread evenly: block i is in where i*count/layers moves on.
                      (pattern == BlockPattern::interleaved && (i + 1) * count / layers > i * count / layers) ||
                      (pattern == BlockPattern::every && i % step == 0);
      if (in) blocks.push_back(i);
    }
  }
  std::sort(blocks.begin(), blocks.end());
  for (std::size_t i = 0; i < blocks.size(); ++i) {
    require(blocks[i] >= 0 && blocks[i] < layers,
            [&] { return cat(key, ".list: found block ", blocks[i], ", expected 0 to ", layers - 1); });
    require(i == 0 || blocks[i] != blocks[i - 1],
            [&] { return cat(key, ".list: found block ", blocks[i], " twice, expected it once"); });
  }
  return blocks;
}

void BlockGroup::fields(config::Fields& f) {
  f.section("blocks", blocks, "which blocks are converted: a list, or a pattern").required();
  f.section("attention", attention, "what they are converted to");
}

void HybridConfig::fields(config::Fields& f) {
  const auto one_group = [this] { return groups.empty(); };
  f.section("blocks", blocks, "which blocks are converted: a list, or a pattern").only("without groups", one_group);
  f.section("attention", attention, "what they are converted to").only("without groups", one_group);
  f.list("groups", groups, "several groups, each with its own blocks and attention")
      .only("with at least one group", [this] { return !groups.empty(); });
}

std::vector<BlockGroup> HybridConfig::all_groups() const {
  return groups.empty() ? std::vector<BlockGroup>{{blocks, attention}} : groups;
}

std::optional<ops::AttentionSpec> HybridConfig::without(AttentionForm form) const {
  for (const BlockGroup& group : all_groups()) {
    if (!group.blocks.is_none() && !group.attention.supports(form)) return group.attention.spec;
  }
  return std::nullopt;
}

BlockMap resolve(const HybridConfig& config, std::int64_t layers) {
  BlockMap out;
  std::map<std::int64_t, std::size_t> group_of;
  const std::vector<BlockGroup> groups = config.all_groups();
  for (std::size_t i = 0; i < groups.size(); ++i) {
    const std::string key = config.groups.empty() ? "hybrid.blocks" : cat("hybrid.groups.", i, ".blocks");
    for (const std::int64_t block : groups[i].blocks.resolve(layers, key)) {
      const auto [earlier, fresh] = group_of.emplace(block, i);
      require(fresh, [&, other = earlier->second] {
        return cat(key, ": found block ", block, ", which hybrid.groups.", other,
                   " has too, expected each block in one group");
      });
      if (groups[i].attention.spec.converted()) out[block] = groups[i].attention;
    }
  }
  return out;
}

std::vector<ops::AttentionSpec> attention_specs(const BlockMap& blocks, std::int64_t layers) {
  std::vector<ops::AttentionSpec> out(static_cast<std::size_t>(layers), BlockAttention().spec);
  for (const auto& [block, attention] : blocks) out.at(static_cast<std::size_t>(block)) = attention.spec;
  return out;
}

std::vector<std::pair<BlockAttention, std::int64_t>> attentions_of(const BlockMap& blocks) {
  std::vector<std::pair<BlockAttention, std::int64_t>> out;
  for (const auto& [block, attention] : blocks) {
    const auto same =
        std::find_if(out.begin(), out.end(), [&wanted = attention](const auto& item) { return item.first == wanted; });
    if (same == out.end()) {
      out.emplace_back(attention, 1);
    } else {
      ++same->second;
    }
  }
  return out;
}

std::int64_t window_tokens(const Architecture& sizes, const std::array<std::int64_t, 3>& latent,
                           const ops::AttentionSpec& spec) {
  return spec.window_tokens({sizes.grid(latent)[0], sizes.tokens_per_slice(latent[1], latent[2])});
}

void convert(const VideoTransformer& model, const BlockMap& blocks, std::uint64_t seed,
             const std::array<std::int64_t, 3>& latent) {
  for (const auto& [block, attention] : blocks) {
    require(block >= 0 && block < model->block_count(),
            [&] { return cat("[convert] found block ", block, ", expected 0 to ", model->block_count() - 1); });
    model->attention(block)->convert(attention, seed, block,
                                     window_tokens(model->architecture(), latent, attention.spec));
  }
}

safetensors::Metadata hybrid_metadata(const BlockMap& blocks) {
  std::set<std::string> kinds, normalizers;
  for (const auto& [block, attention] : blocks) {
    kinds.insert(attention.spec.kind->name());
    if (attention.spec.blends()) normalizers.insert(to_string(attention.spec.normalizer));
  }
  const auto joined = [](const std::set<std::string>& names) { return join({names.begin(), names.end()}, ","); };
  safetensors::Metadata out = {
      {"format", "pt"}, {"hybrid_format", "1"}, {"kind", joined(kinds)}, {"blocks", to_json(blocks).dump()}};
  if (!normalizers.empty()) out["normalizer"] = joined(normalizers);
  return out;
}

void check_hybrid_metadata(const safetensors::Metadata& metadata, const BlockMap& blocks, const std::string& where,
                           const ops::AttentionKinds& kinds) {
  const auto own = metadata.find("blocks");
  require(own != metadata.end(), [&] {
    return where + ": found no 'blocks' in the metadata, expected the attention of each block; export the model again";
  });
  const std::string place = where + ": metadata 'blocks'";
  const BlockMap made_for = block_map_from_json(parse_json(own->second, place), place, kinds);
  for (const auto& [block, attention] : blocks) {
    const auto other = made_for.find(block);
    require(other != made_for.end() && other->second == attention, [&, &block = block, &attention = attention] {
      return cat(where, ": block ", block, ": found feature maps made for ",
                 other == made_for.end() ? "nothing" : config::to_json(other->second).dump(), ", expected ",
                 config::to_json(attention).dump(), "; take both files from the same model");
    });
  }
  require(made_for.size() == blocks.size(),
          [&] { return cat(where, ": found feature maps of ", made_for.size(), " blocks, expected ", blocks.size()); });
}

json to_json(const BlockMap& blocks) {
  json out = json::array();
  for (const auto& [block, attention] : blocks)
    out.push_back({{"block", block}, {"attention", config::to_json(attention)}});
  return out;
}

namespace {

BlockAttention attention_from_json(const json& value, const std::string& where, const ops::AttentionKinds& kinds) {
  BlockAttention out;
  config::Fields fields;
  out.fields(fields, kinds);
  config::Document::from_json(value, where).bind(fields);
  out.validate();
  return out;
}

}  // namespace

BlockMap block_map_from_json(const json& list, const std::string& where, const ops::AttentionKinds& kinds) {
  BlockMap out;
  require(list.is_array(), [&] { return where + ": found no list of blocks, expected one"; });
  for (const json& item : list) {
    require(
        item.is_object() && item.contains("block") && item["block"].is_number_integer() && item.contains("attention"),
        [&] { return where + ": found an entry without block and attention, expected both"; });
    const bool fresh =
        out.emplace(item["block"].get<std::int64_t>(), attention_from_json(item["attention"], where, kinds)).second;
    require(fresh, [&] { return cat(where, ": found block ", item["block"].dump(), " twice, expected it once"); });
  }
  return out;
}

BlockMap block_map_of(const VideoTransformer& model) {
  BlockMap out;
  for (std::int64_t i = 0; i < model->block_count(); ++i) {
    const BlockAttention& attention = model->attention(i)->attention();
    if (attention.spec.converted()) out[i] = attention;
  }
  return out;
}

}  // namespace rehyat::models
