#include "models/wan/config.h"

#include <optional>

#include "core/strings.h"

namespace rehyat::models {

using json = nlohmann::ordered_json;

void WanConfig::fields(config::Fields& f) {
  f.add("dim", dim, "width of the residual stream").at_least(1);
  f.add("layers", layers, "transformer blocks").at_least(1);
  f.add("heads", heads, "attention heads").at_least(1);
  f.add("ffn_dim", ffn_dim, "width of the feed-forward layers").at_least(1);
  f.add("freq_dim", freq_dim, "width of the timestep's sinusoid").at_least(2);
  f.add("text_dim", text_dim, "width of the text embeddings").at_least(1);
  f.add("text_length", text_length, "text slots").at_least(1);
  f.add("in_channels", in_channels, "latent channels in").at_least(1);
  f.add("out_channels", out_channels, "latent channels out").at_least(1);
  f.add("patch", patch, "height and width of a patch").at_least(1);
  f.add("eps", eps, "of the norms").above(0);
}

void WanConfig::validate() const {
  for (const std::int64_t size :
       {dim, layers, heads, ffn_dim, freq_dim, text_dim, text_length, in_channels, out_channels, patch}) {
    require(size >= 1 && size <= 1'000'000,
            [&] { return cat("[model] found a size of ", size, ", expected 1 to 1,000,000"); });
  }
  require(dim % heads == 0 && head_width() % 2 == 0 && head_width() >= 6, [&] {
    return cat("[model] found dim ", dim, " and ", heads, " heads, expected an even head width of at least 6");
  });
  require(freq_dim % 2 == 0, [&] { return cat("[model] freq_dim: found ", freq_dim, ", expected an even number"); });
}

json to_diffusers_json(const WanConfig& c) {
  return {{"_class_name", "WanTransformer3DModel"},
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
          {"text_dim", c.text_dim},
          {"text_length", c.text_length}};
}

WanConfig from_diffusers_json(const json& j, const std::string& where) {
  require(j.is_object(), [&] { return where + ": found no JSON object, expected a model's config"; });
  constexpr std::int64_t most = 100'000;
  const auto size = [&](const char* key, std::optional<std::int64_t> absent = std::nullopt) {
    if (!j.contains(key) && absent) return *absent;
    require(j.contains(key),
            [&] { return cat(where, ": found no ", key, ", expected the config.json of a WanTransformer3DModel"); });
    require(j[key].is_number_integer() && j[key] >= 1 && j[key] <= most, [&] {
      return cat(where, ": found ", key, " ", j[key].dump(), ", expected a whole number from 1 to ", most);
    });
    return j[key].get<std::int64_t>();
  };
  const auto only = [&](const char* key, const json& expected) {
    require(!j.contains(key) || j[key] == expected,
            [&] { return cat(where, ": found ", key, " ", j[key].dump(), ", expected ", expected.dump()); });
  };
  WanConfig c;
  c.heads = size("num_attention_heads");
  c.dim = c.heads * size("attention_head_dim");
  c.layers = size("num_layers");
  c.ffn_dim = size("ffn_dim");
  c.freq_dim = size("freq_dim", c.freq_dim);
  c.text_dim = size("text_dim", c.text_dim);
  c.text_length = size("text_length", c.text_length);
  c.in_channels = size("in_channels", c.in_channels);
  c.out_channels = size("out_channels", c.out_channels);
  const json eps = j.value("eps", json(c.eps));
  require(eps.is_number() && eps > 0, [&] { return cat(where, ": found eps ", eps.dump(), ", expected above 0"); });
  c.eps = eps;
  const json patch = j.value("patch_size", json({1, c.patch, c.patch}));
  require(patch.is_array() && patch.size() == 3 && patch[0] == 1 && patch[1].is_number_integer() && patch[1] >= 1 &&
              patch[1] <= most && patch[1] == patch[2],
          [&] { return cat(where, ": found patch_size ", patch.dump(), ", expected [1, p, p]"); });
  c.patch = patch[1];
  only("qk_norm", "rms_norm_across_heads");
  only("cross_attn_norm", true);
  only("rope_max_seq_len", 1024);
  only("image_dim", nullptr);
  only("added_kv_proj_dim", nullptr);
  try {
    c.validate();
  } catch (const UserError& error) {
    throw UserError(cat(where, ": ", error.what()));
  }
  return c;
}

}  // namespace rehyat::models
