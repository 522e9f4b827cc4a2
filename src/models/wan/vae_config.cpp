#include "models/wan/vae_config.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::models {
namespace {

using json = nlohmann::ordered_json;
constexpr std::int64_t kMostChannels = 65'536, kMostStages = 8, kMostBlocks = 64;

/// Reads the keys of one config.json; an absent key keeps the default.
class VaeKeys {
 public:
  VaeKeys(const json& values, const std::string& where) : values_(values), where_(where) {
    require(values.is_object(), [&] { return where + ": found no JSON object, expected the config of a VAE"; });
  }

  void size(const char* key, std::int64_t& value, std::int64_t most) {
    const json* found = find(key);
    if (found == nullptr) return;
    check(found->is_number_integer() && *found >= 1 && *found <= most, key, cat("a whole number from 1 to ", most));
    value = found->get<std::int64_t>();
  }

  /// A list whose items pass `test`, of which `expected` tells.
  template <typename Item, typename Test>
  void list(const char* key, std::vector<Item>& value, const std::string& expected, const Test& test) {
    const json* found = find(key);
    if (found == nullptr) return;
    check(found->is_array() && std::all_of(found->begin(), found->end(), test), key, expected);
    value = found->get<std::vector<Item>>();
  }

  /// Values that are the only ones this program runs.
  void only(const char* key, const std::vector<json>& values, const std::string& why) {
    const json* found = find(key);
    if (found == nullptr) return;
    check(std::find(values.begin(), values.end(), *found) != values.end(), key, values.front().dump() + why);
  }

  /// A key that says nothing about encoding and decoding.
  void idle(const char* key) { find(key); }

  void finish() const {
    for (const auto& item : values_.items()) {
      if (item.key().starts_with("_") || known_.contains(item.key())) continue;
      const std::string near = nearest(item.key(), {known_.begin(), known_.end()});
      throw UserError({where_, "the unknown key '" + item.key() + "'", "only those of a Wan2.1 AutoencoderKLWan",
                       near.empty() ? "" : "the nearest is '" + near + "'"});
    }
  }

 private:
  const json* find(const char* key) {
    known_.insert(key);
    const auto found = values_.find(key);
    return found == values_.end() || found->is_null() ? nullptr : &*found;
  }
  void check(bool holds, const char* key, const std::string& expected) const {
    require(holds, [&] { return cat(where_, ": found ", key, " ", values_.at(key).dump(), ", expected ", expected); });
  }

  const json& values_;
  const std::string where_;
  std::set<std::string> known_;
};

}  // namespace

std::int64_t VaeConfig::temporal_stride() const {
  return std::int64_t{1} << std::count(temporal_downsample.begin(), temporal_downsample.end(), true);
}

VideoGeometry VaeConfig::geometry() const {
  return {temporal_stride(), spatial_stride(), spatial_stride(), z_dim};
}

void VaeConfig::validate(const std::string& where) const {
  const auto size = [&](const char* key, std::int64_t value, std::int64_t most) {
    require(value >= 1 && value <= most,
            [&] { return cat(where, ": found ", key, " ", value, ", expected 1 to ", most); });
  };
  size("base_dim", base_dim, kMostChannels);
  size("decoder_base_dim", decoder_base_dim, kMostChannels);
  size("z_dim", z_dim, kMostChannels);
  size("num_res_blocks", num_res_blocks, kMostBlocks);
  size("in_channels", in_channels, kMostChannels);
  size("out_channels", out_channels, kMostChannels);
  size("number of stages in dim_mult", stages(), kMostStages);
  for (const std::int64_t factor : dim_mult) {
    size("dim_mult", factor, kMostChannels);
    size("channels of a stage", factor * std::max(base_dim, decoder_base_dim), kMostChannels);
  }
  require(temporal_downsample.size() + 1 == dim_mult.size(), [&] {
    return cat(where, ": found ", temporal_downsample.size(), " values of temperal_downsample and ", dim_mult.size(),
               " of dim_mult, expected one less, for it stands between two stages");
  });
  require(temporal_stride() <= kVaeChunk, [&] {
    return cat(where, ": found temperal_downsample with a stride of ", temporal_stride(), " in time, expected at most ",
               kVaeChunk, ", for videos are encoded in chunks of so many frames");
  });
  // A stage of the decoder that upsamples halves its channels.
  for (std::size_t i = 1; i < dim_mult.size(); ++i)
    size("channels of a stage", dim_mult[i] * decoder_base_dim / 2, kMostChannels);
}

std::string sides_text(std::int64_t spatial_stride) {
  return cat("height / ", spatial_stride, ", width / ", spatial_stride);
}

json to_diffusers_json(const VaeConfig& c) {
  return {{"_class_name", "AutoencoderKLWan"},
          {"attn_scales", c.attn_scales},
          {"base_dim", c.base_dim},
          {"decoder_base_dim", c.decoder_base_dim},
          {"dim_mult", c.dim_mult},
          {"dropout", 0.0},
          {"in_channels", c.in_channels},
          {"is_residual", false},
          {"latents_mean", c.latents_mean},
          {"latents_std", c.latents_std},
          {"num_res_blocks", c.num_res_blocks},
          {"out_channels", c.out_channels},
          {"patch_size", nullptr},
          {"scale_factor_spatial", c.spatial_stride()},
          {"scale_factor_temporal", c.temporal_stride()},
          {"temperal_downsample", c.temporal_downsample},
          {"z_dim", c.z_dim}};
}

VaeConfig vae_config_from_json(const json& values, const std::string& where) {
  VaeKeys keys(values, where);
  const json name = values.value("_class_name", json("AutoencoderKLWan"));
  require(name == "AutoencoderKLWan", [&] {
    return cat(where, ": found _class_name ", name.dump(), ", expected \"AutoencoderKLWan\"; give the VAE's folder");
  });
  constexpr const char* kOther = "; this is a VAE of Wan2.2, which cannot be run";
  keys.only("is_residual", {false}, kOther);
  keys.only("patch_size", {json(nullptr), 1}, kOther);
  VaeConfig c;
  keys.size("base_dim", c.base_dim, kMostChannels);
  c.decoder_base_dim = c.base_dim;
  keys.size("decoder_base_dim", c.decoder_base_dim, kMostChannels);
  keys.size("z_dim", c.z_dim, kMostChannels);
  keys.size("num_res_blocks", c.num_res_blocks, kMostBlocks);
  keys.size("in_channels", c.in_channels, kMostChannels);
  keys.size("out_channels", c.out_channels, kMostChannels);
  keys.list("dim_mult", c.dim_mult, cat("a list of whole numbers from 1 to ", kMostChannels),
            [](const json& item) { return item.is_number_integer() && item >= 1 && item <= kMostChannels; });
  const auto number = [](const json& item) { return item.is_number() && std::isfinite(item.get<double>()); };
  keys.list("attn_scales", c.attn_scales, "a list of numbers", number);
  keys.list("temperal_downsample", c.temporal_downsample, "a list of true and false",
            [](const json& item) { return item.is_boolean(); });
  keys.list("latents_mean", c.latents_mean, "a list of numbers", number);
  keys.list("latents_std", c.latents_std, "a list of numbers above 0",
            [&](const json& item) { return number(item) && item > 0; });
  keys.idle("dropout");  // of training only
  // Hints for pipelines; the strides follow from the stages.
  keys.idle("scale_factor_spatial");
  keys.idle("scale_factor_temporal");
  keys.finish();
  c.validate(where);
  return c;
}

}  // namespace rehyat::models
