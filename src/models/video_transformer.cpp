#include "models/video_transformer.h"

#include <algorithm>
#include <stdexcept>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::models {

std::vector<ops::AttentionSpec> VideoTransformerImpl::attention_specs() const {
  std::vector<ops::AttentionSpec> out;
  for (std::int64_t i = 0; i < block_count(); ++i) out.push_back(attention(i)->attention().spec);
  return out;
}

std::vector<ops::RecurrentState> VideoTransformerImpl::make_states(std::int64_t height, std::int64_t width) const {
  std::vector<ops::RecurrentState> states;
  for (std::int64_t i = 0; i < block_count(); ++i) {
    const BlockAttention& block = attention(i)->attention();
    const ops::AttentionSpec& spec = block.spec;
    require(spec.recurrent(), [&] {
      return cat("[", architecture().family, "] block ", i, ": found ", ops::to_string(spec), ", expected ",
                 ops::recurrent_kinds(), " attention in every block for chunk-by-chunk sampling");
    });
    states.emplace_back(spec, architecture().tokens_per_slice(height, width), block.feature_sign());
  }
  return states;
}

NamedTensors tensors_of(const torch::nn::Module& module, Weights part) {
  NamedTensors out;
  const auto add = [&](const auto& items) {
    for (const auto& item : items) {
      if (part == Weights::all || (part == Weights::feature_maps) == is_feature_map(item.key()))
        out.emplace_back(item.key(), item.value());
    }
  };
  add(module.named_parameters());
  add(module.named_buffers());
  std::sort(out.begin(), out.end(), [](const auto& a, const auto& b) { return a.first < b.first; });
  return out;
}

std::string VideoTransformerImpl::attention_name(std::int64_t block) const {
  const auto own = attention(block)->named_parameters();
  const auto& first = own.front();
  for (const auto& item : named_parameters()) {
    if (item.value().is_same(first.value()))
      return item.key().substr(0, item.key().size() - first.key().size() - 1);  // and the dot
  }
  throw std::logic_error("a block's attention is no module of its model");
}

bool is_feature_map(const std::string& name) {
  const auto has = [&](const char* part) { return name.starts_with(part) || name.find(cat('.', part)) != name.npos; };
  return has("phi_q.") || has("phi_k.");
}

}  // namespace rehyat::models
