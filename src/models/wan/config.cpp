#include "models/wan/config.h"

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
  WanConfig c;
  try {
    c.heads = j.at("num_attention_heads");
    c.dim = c.heads * j.at("attention_head_dim").get<std::int64_t>();
    c.layers = j.at("num_layers");
    c.ffn_dim = j.at("ffn_dim");
    c.freq_dim = j.value("freq_dim", c.freq_dim);
    c.text_dim = j.value("text_dim", c.text_dim);
    c.text_length = j.value("text_length", c.text_length);
    c.in_channels = j.value("in_channels", c.in_channels);
    c.out_channels = j.value("out_channels", c.out_channels);
    c.eps = j.value("eps", c.eps);
    const auto patch = j.value("patch_size", std::vector<std::int64_t>{1, 2, 2});
    require(patch.size() == 3 && patch[0] == 1 && patch[1] == patch[2],
            [&] { return cat(where, ": found patch_size ", shape_string(patch), ", expected [1, p, p]"); });
    c.patch = patch[1];
    const auto only = [&](const char* key, const json& expected) {
      require(!j.contains(key) || j[key] == expected,
              [&] { return cat(where, ": found ", key, " ", j[key].dump(), ", expected ", expected.dump()); });
    };
    only("qk_norm", "rms_norm_across_heads");
    only("cross_attn_norm", true);
    only("rope_max_seq_len", 1024);
    only("image_dim", nullptr);
    only("added_kv_proj_dim", nullptr);
  } catch (const json::exception& error) {
    throw UserError({where, cat("a config that lacks a value (", error.what(), ")"),
                     "the config.json of a WanTransformer3DModel", ""});
  }
  c.validate();
  return c;
}

}  // namespace rehyat::models
