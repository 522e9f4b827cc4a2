#include "evaluate/forward_bench.h"

#include <torch/cuda.h>

#include <algorithm>
#include <chrono>
#include <set>

#include "analysis/cost.h"
#include "core/progress.h"
#include "core/strings.h"
#include "models/hybrid.h"
#include "tensor/peak_memory.h"

namespace rehyat::evaluate {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr double kTimestep = 500;

/// Numbers spread evenly over [-size, size], in no order that a model could notice. Time does not depend on the values,
/// and drawing 1.4 billion from our random streams takes minutes.
at::Tensor spread(at::IntArrayRef sizes, double size, const at::TensorOptions& options) {
  const std::int64_t count = c10::multiply_integers(sizes);
  const double golden = 0.6180339887498949;
  const at::Tensor steps = at::arange(count, options.dtype(at::kDouble));  // float32 would lose the fraction
  return steps.mul_(golden).frac_().sub_(0.5).mul_(2 * size).view(sizes).to(options);
}

void wait_for(at::Device device) {
  if (device.is_cuda()) torch::cuda::synchronize(device.index());
}

/// The settings of the model with arbitrary weights.
json arbitrary_settings(const ForwardBench& bench) {
  return bench.layers ? json{{"layers", *bench.layers}} : json::object();
}

/// With weights in the compute type.
models::VideoTransformer make_model(const ForwardBench& bench, const models::ModelRegistry& families,
                                    const std::array<std::int64_t, 3>& latent) {
  models::VideoTransformer model{nullptr};
  if (bench.model.empty()) {
    model = families.named(bench.family).make(arbitrary_settings(bench));
    model->to(bench.device, bench.compute);
    for (auto& parameter : model->parameters()) parameter.copy_(spread(parameter.sizes(), 0.03, parameter.options()));
  } else {
    model = families.load(bench.model, {.device = bench.device, .type = bench.compute});
  }
  if (!bench.attention) return model;
  models::BlockMap blocks;
  for (std::int64_t i = 0; i < model->block_count(); ++i) blocks[i] = *bench.attention;
  models::convert(model, blocks, 1, latent);
  return model;
}

std::string attention_of(const models::VideoTransformer& model) {
  std::set<std::string> names;
  for (std::int64_t i = 0; i < model->block_count(); ++i)
    names.insert(ops::to_string(model->attention(i)->attention().spec));
  return join({names.begin(), names.end()}, "; ");
}

double tflop_of(const models::VideoTransformer& model, const analysis::VideoSize& video, std::int64_t batch) {
  std::vector<analysis::BlockChoice> blocks;
  for (std::int64_t i = 0; i < model->block_count(); ++i) {
    const models::BlockAttention& attention = model->attention(i)->attention();
    blocks.push_back({attention.spec, attention.phi});
  }
  return static_cast<double>(batch) * analysis::model_cost(model->architecture(), video, blocks).tflops_recurrent;
}

std::vector<double> time_passes(const models::VideoTransformer& model, const ForwardBench& bench,
                                const std::array<std::int64_t, 3>& latent) {
  const models::Architecture& sizes = model->architecture();
  const auto on = at::TensorOptions().device(bench.device);
  const at::Tensor x = spread({bench.batch, sizes.channels, latent[0], latent[1], latent[2]}, 1.7, on);
  const at::Tensor text = spread({bench.batch, sizes.text_tokens, sizes.text_width}, 1.7, on),
                   time = at::full({bench.batch}, kTimestep, on);
  models::ForwardOptions how;
  how.compute = bench.compute;
  how.form = bench.form;
  wait_for(bench.device);
  reset_peak_memory(bench.device);
  std::vector<double> seconds;
  Progress progress("bench forward", bench.warmup + bench.repeats, "passes");
  for (std::int64_t i = 0; i < bench.warmup + bench.repeats; ++i) {
    const auto start = Clock::now();
    const at::Tensor y = model->forward(x, time, text, how);
    wait_for(bench.device);
    if (i >= bench.warmup) seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    progress.advance(1);
  }
  progress.finish();
  std::sort(seconds.begin(), seconds.end());
  return seconds;
}

}  // namespace

ForwardTimes time_forward(const ForwardBench& bench, const models::ModelRegistry& families) {
  const at::NoGradGuard no_grad;
  const models::Architecture sizes = bench.model.empty()
                                         ? families.named(bench.family).architecture(arbitrary_settings(bench))
                                         : families.read_architecture(bench.model);
  const analysis::VideoSize video{bench.frames, bench.height, bench.width, bench.geometry};
  video.validate(sizes);
  const auto latent = bench.geometry.latent(bench.frames, bench.height, bench.width);
  const models::VideoTransformer model = make_model(bench, families, latent);
  ForwardTimes out;
  out.attention = attention_of(model);
  out.layers = model->block_count();
  out.tokens = video.tokens(sizes);
  out.seconds = time_passes(model, bench, latent);
  out.tflop = tflop_of(model, video, bench.batch);
  out.peak_bytes = peak_memory(bench.device);
  return out;
}

json to_json(const ForwardBench& bench, const ForwardTimes& times) {
  return {{"bench", "forward"},
          {"model", bench.model.empty() ? "arbitrary" : bench.model.string()},
          {"device", bench.device.str()},
          {"compute", at::toString(bench.compute)},
          {"attention", times.attention},
          {"form", bench.form == models::AttentionForm::recurrent ? "recurrent" : "parallel"},
          {"layers", times.layers},
          {"batch", bench.batch},
          {"frames", bench.frames},
          {"height", bench.height},
          {"width", bench.width},
          {"tokens", times.tokens},
          {"warmup", bench.warmup},
          {"repeats", bench.repeats},
          {"seconds_median", times.median()},
          {"seconds_min", times.seconds.front()},
          {"seconds_max", times.seconds.back()},
          {"tflop", times.tflop},
          {"tflop_per_s", times.tflop / times.median()},
          {"peak_bytes", times.peak_bytes}};
}

}  // namespace rehyat::evaluate
