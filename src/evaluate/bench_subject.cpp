#include "evaluate/bench_subject.h"

#include <torch/cuda.h>

#include <set>

#include "core/strings.h"
#include "models/hybrid.h"

namespace rehyat::evaluate {
namespace {

using json = nlohmann::ordered_json;

models::VideoTransformer arbitrary_model(const BenchSubject& subject, const models::ModelFamily& family,
                                         const json& settings, at::ScalarType weights) {
  models::VideoTransformer model = family.make(settings);
  model->to(subject.device, weights);
  for (auto& parameter : model->parameters())
    parameter.copy_(spread_numbers(parameter.sizes(), 0.03, parameter.options()));
  return model;
}

json own_settings(const BenchSubject& subject, const models::ModelRegistry& families) {
  return subject.layers ? families.named(subject.family).with_layers(subject.settings, *subject.layers)
                        : subject.settings;
}

models::BlockMap converted_blocks(const BenchSubject& subject, std::int64_t layers) {
  models::BlockChoice choice;
  if (subject.converted)
    choice = {.list = {}, .pattern = models::BlockPattern::interleaved, .count = *subject.converted};
  models::BlockMap out;
  for (const std::int64_t block : choice.resolve(layers, "[bench] converted")) out[block] = *subject.attention;
  return out;
}

/// As models::convert, but all blocks have the feature maps that are drawn for the first: drawing them on the CPU takes
/// longer than what is measured.
void convert_alike(const models::VideoTransformer& model, const models::BlockMap& blocks,
                   const std::array<std::int64_t, 3>& latent) {
  if (blocks.empty()) return;
  models::convert(model, {*blocks.begin()}, 1, latent);
  const models::SelfAttention drawn = model->attention(blocks.begin()->first);
  const NamedTensors maps = models::tensors_of(*drawn, models::Weights::feature_maps);
  for (const auto& [block, attention] : blocks) {
    if (block == blocks.begin()->first) continue;
    model->attention(block)->install(attention);
    const NamedTensors own = models::tensors_of(*model->attention(block), models::Weights::feature_maps);
    for (std::size_t i = 0; i < own.size(); ++i) at::Tensor(own[i].second).copy_(maps[i].second);
  }
}

}  // namespace

models::Architecture BenchSubject::architecture(const models::ModelRegistry& families) const {
  const models::Architecture out = model.empty() ? families.named(family).architecture(own_settings(*this, families))
                                                 : families.read_architecture(model);
  video().validate(out);
  return out;
}

models::VideoTransformer BenchSubject::make(const models::ModelRegistry& families, at::ScalarType weights) const {
  const at::NoGradGuard no_grad;
  architecture(families);  // refuses the video before anything is made
  const models::VideoTransformer out =
      model.empty() ? arbitrary_model(*this, families.named(family), own_settings(*this, families), weights)
                    : families.load(model, {.device = device, .type = weights});
  if (attention) convert_alike(out, converted_blocks(*this, out->block_count()), latent());
  return out;
}

std::vector<analysis::BlockChoice> block_choices(const models::VideoTransformer& model) {
  std::vector<analysis::BlockChoice> blocks;
  for (std::int64_t i = 0; i < model->block_count(); ++i) {
    const models::BlockAttention& attention = model->attention(i)->attention();
    blocks.push_back({attention.spec, attention.phi});
  }
  return blocks;
}

double forward_tflop(const models::VideoTransformer& model, const BenchSubject& subject) {
  return static_cast<double>(subject.batch) *
         analysis::model_cost(model->architecture(), subject.video(), block_choices(model)).tflops_recurrent;
}

std::string attention_names(const models::VideoTransformer& model) {
  std::set<std::string> names;
  for (const ops::AttentionSpec& spec : model->attention_specs()) names.insert(ops::to_string(spec));
  return join({names.begin(), names.end()}, "; ");
}

at::Tensor spread_numbers(at::IntArrayRef sizes, double size, const at::TensorOptions& options) {
  const std::int64_t count = c10::multiply_integers(sizes);
  const double golden = 0.6180339887498949;
  const at::Tensor steps = at::arange(count, options.dtype(at::kDouble));  // float32 would lose the fraction
  return steps.mul_(golden).frac_().sub_(0.5).mul_(2 * size).view(sizes).to(options);
}

void wait_for(at::Device device) {
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
}

json to_json(const BenchSubject& subject) {
  return {{"model", subject.model.empty() ? "arbitrary" : subject.model.string()},
          {"device", subject.device.str()},
          {"compute", at::toString(subject.compute)},
          {"batch", subject.batch},
          {"frames", subject.frames},
          {"height", subject.height},
          {"width", subject.width}};
}

std::string to_text(const BenchSubject& subject) {
  return cat(subject.frames, " frames at ", subject.height, " x ", subject.width, ", ", at::toString(subject.compute),
             " on ", subject.device.str());
}

double median(const std::vector<double>& sorted) {
  return sorted[sorted.size() / 2];
}

}  // namespace rehyat::evaluate
