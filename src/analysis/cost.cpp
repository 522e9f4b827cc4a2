#include "analysis/cost.h"

#include <algorithm>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "ops/attention/plan.h"

namespace rehyat::analysis {
namespace {

constexpr double kTera = 1e12;
constexpr std::int64_t kStateBytes = 4;  // float32, also where the model runs in bf16
constexpr std::int64_t kRingBytes = 2;   // bf16

/// Input and output widths of phi's matrices for one head.
std::vector<std::pair<std::int64_t, std::int64_t>> phi_layers(std::int64_t head_width,
                                                              const ops::FeatureMapConfig& phi) {
  const std::int64_t features = phi.feature_width(head_width);
  switch (phi.kind) {
    case ops::FeatureMapKind::elu:
      return {};
    case ops::FeatureMapKind::hedgehog:
      return {{head_width, features / 2}};
    case ops::FeatureMapKind::poly_mlp:
      break;
  }
  const std::int64_t hidden = phi.hidden > 0 ? phi.hidden : phi.degree * head_width;
  std::vector<std::pair<std::int64_t, std::int64_t>> layers;
  for (std::int64_t i = 0; i < phi.layers; ++i)
    layers.emplace_back(i == 0 ? head_width : hidden, i + 1 == phi.layers ? features : hidden);
  return layers;
}

/// Multiply-accumulates of one block's attention; its projections are counted with the block.
struct AttentionMacs {
  double softmax = 0;          ///< scores and weighted values
  double phi = 0;              ///< both feature maps over all tokens
  double query = 0;            ///< phi_q S
  double state_paper = 0;      ///< phi_k^T v, recomputed for every chunk
  double state_recurrent = 0;  ///< phi_k^T v, every token once
  double paper() const { return softmax + phi + query + state_paper; }
  double recurrent() const { return softmax + phi + query + state_recurrent; }
};

AttentionMacs attention_macs(const models::Architecture& d, const VideoSize& video, const ops::AttentionSpec& spec,
                             const ops::FeatureMapConfig& phi) {
  const std::int64_t slices = video.slices(d), slice_tokens = video.tokens_per_slice(d);
  const ops::KeyPairs pairs = ops::count_pairs(spec.kind->plan(spec, {slices, slice_tokens}));
  AttentionMacs macs;
  macs.softmax = 2.0 * static_cast<double>(d.dim) * pairs.softmax;
  if (!spec.kind->has_linear()) return macs;
  const double n = static_cast<double>(slices * slice_tokens), heads = static_cast<double>(d.heads);
  const double state = heads * static_cast<double>(phi.feature_width(d.head_width()) * d.head_width());
  for (const auto& [in, out] : phi_layers(d.head_width(), phi)) macs.phi += 2.0 * heads * n * double(in * out);
  macs.query = n * state;
  macs.state_paper = pairs.linear_keys * state;
  macs.state_recurrent = pairs.linear_keys_once * state;
  return macs;
}

/// Multiply-accumulates of one part over `n` tokens.
double macs_of(const models::PartCost& part, double n) {
  return part.macs_per_token * n + part.macs_per_video;
}

template <typename T>
nlohmann::ordered_json or_null(const std::optional<T>& value) {
  return value ? nlohmann::ordered_json(*value) : nlohmann::ordered_json(nullptr);
}

}  // namespace

std::int64_t VideoSize::tokens_per_slice(const models::Architecture& model) const {
  return model.tokens_per_slice(latent()[1], latent()[2]);
}

void VideoSize::validate(const models::Architecture& model) const {
  const models::VideoRule rule(geometry, model.patch);
  if (!rule.fits(frames))
    throw UserError(Mistake{"video frames", cat(frames), cat("a number of the form ", rule.frames_text()),
                            cat("take ", rule.nearest_frames(frames))});
  const auto require_side = [](const char* name, std::int64_t side, std::int64_t unit) {
    if (side < 1 || side % unit != 0)
      throw UserError(Mistake{cat("video ", name), cat(side), cat("a multiple of ", unit), ""});
  };
  require_side("height", height, rule.height());
  require_side("width", width, rule.width());
}

std::int64_t phi_parameters(const models::Architecture& model, const ops::FeatureMapConfig& phi) {
  const bool biased = phi.kind == ops::FeatureMapKind::poly_mlp;
  std::int64_t per_head = 0;
  for (const auto& [in, out] : phi_layers(model.head_width(), phi)) per_head += in * out + (biased ? out : 0);
  return 2 * model.heads * per_head;
}

std::int64_t model_parameters(const models::Architecture& model) {
  return model.layers * model.block.parameters + model.outside.parameters;
}

BlockChoice softmax_block() {
  BlockChoice choice;
  choice.attention.kind = ops::AttentionKind::softmax;
  return choice;
}

AttentionWork attention_work(const models::Architecture& model, const VideoSize& video, const ops::AttentionSpec& spec,
                             const ops::FeatureMapConfig& phi) {
  model.validate();
  video.validate(model);
  spec.validate();
  if (spec.kind->has_linear()) phi.validate();
  const AttentionMacs macs = attention_macs(model, video, spec, phi);
  return {2 * macs.softmax / kTera, 2 * macs.phi / kTera, 2 * (macs.query + macs.state_recurrent) / kTera};
}

BlockCost block_cost(const models::Architecture& model, const VideoSize& video, const ops::AttentionSpec& spec,
                     const ops::FeatureMapConfig& phi) {
  model.validate();
  video.validate(model);
  spec.validate();
  const bool linear_branch = spec.kind->has_linear();
  if (linear_branch) phi.validate();

  BlockCost cost;
  cost.kind = spec.kind->name();
  cost.frames = video.frames, cost.height = video.height, cost.width = video.width;
  cost.tc = spec.value("tc"), cost.to = spec.value("to"), cost.rate = spec.value("rate");
  if (const auto causal = spec.value("causal")) cost.causal = *causal != 0;

  const AttentionMacs attention = attention_macs(model, video, spec, phi);
  const double dense = macs_of(model.block, static_cast<double>(video.tokens(model)));
  cost.attention_tflops = 2 * attention.paper() / kTera;
  cost.block_tflops_paper = 2 * (dense + attention.paper()) / kTera;
  cost.phi_parameters = linear_branch ? phi_parameters(model, phi) : 0;
  cost.parameters = model.block.parameters + cost.phi_parameters;
  if (const auto recurrence = spec.recurrence()) {
    const std::int64_t head_width = model.head_width();
    cost.block_tflops_recurrent = 2 * (dense + attention.recurrent()) / kTera;
    cost.state_bytes = model.heads * phi.feature_width(head_width) * (head_width + 1) * kStateBytes;
    const std::int64_t overlap = std::min(recurrence->overlap, video.slices(model));
    // The ring holds K and V, and where phi acts before RoPE also the keys that phi acts on.
    cost.ring_bytes = (phi.rope_first ? 2 : 3) * overlap * video.tokens_per_slice(model) * model.dim * kRingBytes;
  }
  return cost;
}

ModelCost model_cost(const models::Architecture& model, const VideoSize& video,
                     const std::vector<BlockChoice>& blocks) {
  if (static_cast<std::int64_t>(blocks.size()) != model.layers)
    throw UserError(Mistake{"hybrid blocks", cat(blocks.size(), " choices"),
                            cat("one for each of the ", model.layers, " layers"), ""});
  const double softmax = block_cost(model, video, softmax_block().attention).block_tflops_paper;
  ModelCost total;
  total.outside_tflops = 2 * macs_of(model.outside, static_cast<double>(video.tokens(model))) / kTera;
  total.tflops_paper = total.tflops_recurrent = total.outside_tflops;
  total.tflops_softmax = total.outside_tflops + softmax * static_cast<double>(model.layers);
  total.parameters = model_parameters(model);
  std::vector<ops::AttentionSpec> specs;
  for (const BlockChoice& choice : blocks) {
    total.blocks.push_back(block_cost(model, video, choice.attention, choice.phi));
    const BlockCost& block = total.blocks.back();
    total.tflops_paper += block.block_tflops_paper;
    total.tflops_recurrent += block.cheapest_tflops();
    total.phi_parameters += block.phi_parameters;
    total.state_bytes += block.state_bytes;
    total.ring_bytes += block.ring_bytes;
    specs.push_back(choice.attention);
  }
  total.constant_memory = ops::chunk_by_chunk(specs).possible();
  total.parameters += total.phi_parameters;
  return total;
}

std::int64_t sampling_state_bytes(const ModelCost& model, std::int64_t steps, std::int64_t branches,
                                  std::int64_t number_bytes) {
  return (model.state_bytes + model.ring_bytes / kRingBytes * number_bytes) * steps * branches;
}

std::int64_t sampling_text_bytes(const models::Architecture& model, std::int64_t branches, std::int64_t number_bytes) {
  return model.text_tokens * model.text_numbers * number_bytes * branches;
}

nlohmann::ordered_json to_json(const BlockCost& cost) {
  return {{"kind", cost.kind},
          {"tc", or_null(cost.tc)},
          {"to", or_null(cost.to)},
          {"causal", or_null(cost.causal)},
          {"rate", or_null(cost.rate)},
          {"frames", cost.frames},
          {"height", cost.height},
          {"width", cost.width},
          {"block_tflops_paper", cost.block_tflops_paper},
          {"block_tflops_recurrent", or_null(cost.block_tflops_recurrent)},
          {"attention_tflops", cost.attention_tflops},
          {"state_bytes", cost.state_bytes},
          {"ring_bytes", cost.ring_bytes},
          {"parameters", cost.parameters},
          {"phi_parameters", cost.phi_parameters}};
}

nlohmann::ordered_json to_json(const ModelCost& cost) {
  nlohmann::ordered_json blocks = nlohmann::ordered_json::array();
  for (const BlockCost& block : cost.blocks) blocks.push_back(to_json(block));
  return {{"parameters", cost.parameters},           {"phi_parameters", cost.phi_parameters},
          {"tflops_paper", cost.tflops_paper},       {"tflops_recurrent", cost.tflops_recurrent},
          {"tflops_softmax", cost.tflops_softmax},   {"outside_tflops", cost.outside_tflops},
          {"state_bytes", cost.state_bytes},         {"ring_bytes", cost.ring_bytes},
          {"constant_memory", cost.constant_memory}, {"blocks", std::move(blocks)}};
}

}  // namespace rehyat::analysis
