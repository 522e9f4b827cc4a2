#include <functional>
#include <optional>
#include <set>

#include "core/strings.h"
#include "models/wan/config.h"

namespace rehyat::models {
namespace {

using json = nlohmann::ordered_json;
constexpr std::int64_t kMost = 100'000;
constexpr const char* kOnlyText =
    "; only text-to-video transformers are supported, none conditioned on images or videos";

/// Reads a model's config key by key and knows at the end which ones nobody asked for.
class TransformerKeys {
 public:
  TransformerKeys(const json& values, const std::string& where, std::string kind)
      : values_(values), where_(where), kind_(std::move(kind)) {
    require(values.is_object(), [&] { return where + ": found no JSON object, expected a model's config"; });
  }

  std::int64_t size(const char* key, std::optional<std::int64_t> absent = std::nullopt) {
    known_.insert(key);
    if (!values_.contains(key) && absent) return *absent;
    require(values_.contains(key),
            [&] { return cat(where_, ": found no ", key, ", expected the config.json of a ", kind_); });
    const json& value = values_[key];
    require(value.is_number_integer() && value >= 1 && value <= kMost, [&] {
      return cat(where_, ": found ", key, " ", value.dump(), ", expected a whole number from 1 to ", kMost);
    });
    return value.get<std::int64_t>();
  }

  double eps(double absent) {
    known_.insert("eps");
    const json eps = values_.value("eps", json(absent));
    require(eps.is_number() && eps > 0, [&] { return cat(where_, ": found eps ", eps.dump(), ", expected above 0"); });
    return eps;
  }

  std::int64_t patch(std::int64_t absent) {
    known_.insert("patch_size");
    const json patch = values_.value("patch_size", json({1, absent, absent}));
    require(patch.is_array() && patch.size() == 3 && patch[0] == 1 && patch[1].is_number_integer() && patch[1] >= 1 &&
                patch[1] <= kMost && patch[1] == patch[2],
            [&] { return cat(where_, ": found patch_size ", patch.dump(), ", expected [1, p, p]"); });
    return patch[1];
  }

  /// A key that may be absent and has one value that can be run.
  void only(const char* key, const json& expected, const char* hint = "") {
    known_.insert(key);
    require(!values_.contains(key) || values_[key] == expected, [&] {
      return cat(where_, ": found ", key, " ", values_[key].dump(), ", expected ", expected.dump(), hint);
    });
  }

  /// Null and false ask for nothing; names with an underscore are the library's own notes.
  void no_others() const {
    for (const auto& [key, value] : values_.items()) {
      if (known_.contains(key) || key.starts_with("_") || value.is_null() || value == false) continue;
      throw UserError(
          cat(where_, ": found the setting ", key, " ", value.dump(), ", expected only those of a ", kind_, kOnlyText));
    }
  }

  const std::string& where() const { return where_; }

 private:
  const json& values_;
  const std::string& where_;
  std::string kind_;
  std::set<std::string> known_;
};

void check_whole(const WanConfig& c, const std::string& where) {
  try {
    c.validate();
  } catch (const UserError& error) {
    throw UserError(cat(where, ": ", error.what()));
  }
  require(c.in_channels == c.out_channels, [&] {
    return cat(where, ": found ", c.in_channels, " channels in and ", c.out_channels, " out, expected as many of each",
               kOnlyText);
  });
}

}  // namespace

json to_diffusers_json(const WanConfig& c) {
  json out = {{"_class_name", "WanTransformer3DModel"},
              {"attention_head_dim", c.head_width()},
              {"cross_attn_norm", true},
              {"eps", c.eps},
              {"ffn_dim", c.ffn_dim},
              {"freq_dim", c.freq_dim},
              {"in_channels", c.in_channels},
              {"num_attention_heads", c.heads},
              {"num_layers", c.layers},
              {"out_channels", c.out_channels},
              {"patch_size", {1, c.patch, c.patch}},
              {"qk_norm", "rms_norm_across_heads"},
              {"rope_max_seq_len", 1024},
              {"text_dim", c.text_dim}};
  // diffusers has no such setting and warns of it: written only where it says something.
  if (c.text_length != WanConfig().text_length) out["text_length"] = c.text_length;
  return out;
}

WanConfig from_diffusers_json(const json& values, const std::string& where) {
  TransformerKeys keys(values, where, "WanTransformer3DModel");
  keys.only("_class_name", "WanTransformer3DModel", kOnlyText);
  keys.only("image_dim", nullptr, kOnlyText);
  keys.only("added_kv_proj_dim", nullptr, kOnlyText);
  keys.only("pos_embed_seq_len", nullptr, kOnlyText);
  WanConfig c;
  c.heads = keys.size("num_attention_heads");
  c.dim = c.heads * keys.size("attention_head_dim");
  c.layers = keys.size("num_layers");
  c.ffn_dim = keys.size("ffn_dim");
  c.freq_dim = keys.size("freq_dim", c.freq_dim);
  c.text_dim = keys.size("text_dim", c.text_dim);
  c.text_length = keys.size("text_length", c.text_length);
  c.in_channels = keys.size("in_channels", c.in_channels);
  c.out_channels = keys.size("out_channels", c.out_channels);
  c.eps = keys.eps(c.eps);
  c.patch = keys.patch(c.patch);
  keys.only("qk_norm", "rms_norm_across_heads");
  keys.only("cross_attn_norm", true);
  keys.only("rope_max_seq_len", 1024);
  keys.no_others();
  check_whole(c, where);
  return c;
}

json to_original_json(const WanConfig& c) {
  const WanConfig usual;
  json out = {{"_class_name", "WanModel"},
              {"dim", c.dim},
              {"eps", c.eps},
              {"ffn_dim", c.ffn_dim},
              {"freq_dim", c.freq_dim},
              {"in_dim", c.in_channels},
              {"model_type", "t2v"},
              {"num_heads", c.heads},
              {"num_layers", c.layers},
              {"out_dim", c.out_channels},
              {"text_len", c.text_length}};
  // The original leaves these out of its files; they are written where the usual value would be wrong.
  if (c.patch != usual.patch) out["patch_size"] = {1, c.patch, c.patch};
  if (c.text_dim != usual.text_dim) out["text_dim"] = c.text_dim;
  return out;
}

WanConfig from_original_json(const json& values, const std::string& where) {
  TransformerKeys keys(values, where, "WanModel");
  keys.only("_class_name", "WanModel", kOnlyText);
  keys.only("model_type", "t2v", kOnlyText);
  WanConfig c;
  c.dim = keys.size("dim");
  c.heads = keys.size("num_heads");
  c.layers = keys.size("num_layers");
  c.ffn_dim = keys.size("ffn_dim");
  c.freq_dim = keys.size("freq_dim", c.freq_dim);
  c.text_dim = keys.size("text_dim", c.text_dim);
  c.text_length = keys.size("text_len", c.text_length);
  c.in_channels = keys.size("in_dim", c.in_channels);
  c.out_channels = keys.size("out_dim", c.out_channels);
  c.eps = keys.eps(c.eps);
  c.patch = keys.patch(c.patch);
  keys.only("qk_norm", true);
  keys.only("cross_attn_norm", true);
  keys.only("window_size", json({-1, -1}));
  keys.no_others();
  check_whole(c, where);
  return c;
}

}  // namespace rehyat::models
