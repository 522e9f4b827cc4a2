#include "models/umt5/config.h"

#include "core/error.h"
#include "core/strings.h"
#include "models/umt5/activation.h"

namespace rehyat::models {

using json = nlohmann::ordered_json;

void Umt5Config::validate(const std::string& where) const {
  constexpr std::int64_t most = 10'000'000;
  for (const std::int64_t size : {vocabulary, width, layers, heads, head_width, feed_forward, buckets, max_distance}) {
    require(size >= 1 && size <= most,
            [&] { return cat(where, ": found a size of ", size, ", expected 1 to ", most); });
  }
  // Half of the buckets look back, and half of those are single positions; the others need room beyond them.
  require(buckets >= 4 && max_distance > buckets / 4, [&] {
    return cat(where, ": found ", buckets, " buckets up to a distance of ", max_distance,
               ", expected at least 4, and a distance above a quarter of them");
  });
  require(eps > 0, [&] { return cat(where, ": found a layer_norm_epsilon of ", eps, ", expected above 0"); });
  require_activation(activation, where);
}

Umt5Config umt5_config_from_json(const json& j, const std::string& where) {
  require(j.is_object(), [&] { return where + ": found no JSON object, expected a model's config"; });
  const json type = j.value("model_type", json("umt5"));
  require(type == "umt5", [&] {
    return cat(where, ": found the model_type ", type.dump(),
               ", expected \"umt5\", whose layers have their own position "
               "biases");
  });
  // What a file leaves out has transformers' default, which is not that of UMT5-XXL.
  const auto size = [&](const char* key, std::int64_t absent) {
    const json value = j.value(key, json(absent));
    require(value.is_number_integer(),
            [&] { return cat(where, ": found ", key, ' ', value.dump(), ", expected a whole number"); });
    return value.get<std::int64_t>();
  };
  Umt5Config c;
  c.vocabulary = size("vocab_size", 250112);
  c.width = size("d_model", 512);
  c.head_width = size("d_kv", 64);
  c.feed_forward = size("d_ff", 1024);
  c.layers = size("num_layers", 8);
  c.heads = size("num_heads", 6);
  c.buckets = size("relative_attention_num_buckets", 32);
  c.max_distance = size("relative_attention_max_distance", 128);
  const json eps = j.value("layer_norm_epsilon", json(c.eps));
  require(eps.is_number(),
          [&] { return cat(where, ": found layer_norm_epsilon ", eps.dump(), ", expected a number"); });
  c.eps = eps;
  const json kind = j.value("feed_forward_proj", json("gated-gelu"));
  require(kind.is_string(), [&] { return cat(where, ": found feed_forward_proj ", kind.dump(), ", expected text"); });
  c.activation = kind;
  constexpr std::string_view gate = "gated-";
  c.gated = c.activation.starts_with(gate);
  if (c.gated) c.activation.erase(0, gate.size());
  if (kind == "gated-gelu") c.activation = "gelu_new";
  c.validate(where);
  return c;
}

Umt5Config umt5_config_from_tensors(const TensorSource& source) {
  const auto shape = [&](const std::string& name) {
    const auto found = source.shape(name);
    require(found.size() == 2, [&] {
      return cat(source.where(name), ": tensor '", name, "': found shape ", shape_string(found),
                 ", expected two sizes");
    });
    return found;
  };
  const std::string layer = "encoder.block.0.layer.";
  Umt5Config c;
  c.vocabulary = shape("shared.weight")[0];
  c.width = shape("shared.weight")[1];
  const auto bias = shape(layer + "0.SelfAttention.relative_attention_bias.weight");
  c.buckets = bias[0];
  c.heads = bias[1];
  c.feed_forward = shape(layer + "1.DenseReluDense.wi_0.weight")[0];
  const std::int64_t inner = shape(layer + "0.SelfAttention.q.weight")[0];
  require(c.heads >= 1 && inner % c.heads == 0, [&] {
    return cat(source.path(), ": found ", inner, " rows of queries for ", c.heads, " heads, expected a multiple");
  });
  c.head_width = inner / c.heads;
  c.layers = 0;
  while (source.contains(cat("encoder.block.", c.layers, ".layer.0.layer_norm.weight"))) ++c.layers;
  c.validate(source.path());
  return c;
}

std::string describe(const Umt5Config& c) {
  return cat("umt5 ", c.vocabulary, ' ', c.width, ' ', c.layers, ' ', c.heads, ' ', c.head_width, ' ', c.feed_forward,
             ' ', c.buckets, ' ', c.max_distance, ' ', c.eps, ' ', c.gated ? "gated-" : "", c.activation);
}

}  // namespace rehyat::models
