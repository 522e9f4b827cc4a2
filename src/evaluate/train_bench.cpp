#include "evaluate/train_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>

#include "core/error.h"
#include "core/progress.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "finetune/flow_points.h"
#include "tensor/peak_memory.h"
#include "train/optimizer.h"
#include "train/reduce.h"

namespace rehyat::evaluate {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr double kForwardAndBackward = 3;  // forward passes that both cost
constexpr double kSigma = 0.5;

std::vector<finetune::FlowSample> samples(const BenchSubject& subject, const models::Architecture& sizes) {
  const auto latent = subject.latent();
  const std::vector<std::int64_t> text = {sizes.text_tokens, sizes.text_width},
                                  shape = {sizes.channels, latent[0], latent[1], latent[2]};
  const auto options = at::TensorOptions().dtype(at::kFloat);
  return std::vector<finetune::FlowSample>(static_cast<std::size_t>(subject.batch),
                                           {spread_numbers(shape, 1.7, options), spread_numbers(shape, 1.6, options),
                                            spread_numbers(text, 1.7, options), kSigma});
}

std::int64_t bytes_of(const std::vector<train::NamedParameter>& parameters, bool gradients) {
  std::int64_t out = 0;
  for (const train::NamedParameter& p : parameters) {
    const at::Tensor& tensor = gradients ? p.tensor.grad() : p.tensor;
    out += tensor.defined() ? static_cast<std::int64_t>(tensor.nbytes()) : 0;
  }
  return out;
}

/// A model with its optimizer, ready to take steps.
class Trainee {
 public:
  Trainee(const TrainBench& bench, const models::VideoTransformer& model)
      : bench_(bench),
        model_(model),
        batch_(samples(bench.subject, model->architecture())),
        parameters_(trained(model)),
        optimizer_(parameters_, {}) {}

  /// Adds what one step took where `counts`.
  void step(StepMeasures& out, bool counts) {
    for (const train::NamedParameter& p : parameters_) p.tensor.mutable_grad().reset();
    at::Tensor loss;
    double total = 0;
    const auto part = [&](StepPart& into, const auto& run) {
      wait_for(bench_.subject.device);
      reset_peak_memory(bench_.subject.device);
      const auto start = Clock::now();
      run();
      wait_for(bench_.subject.device);
      const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
      total += seconds;
      if (counts) into.seconds.push_back(seconds);
      into.peak_bytes = std::max(into.peak_bytes, peak_memory(bench_.subject.device));
    };
    part(out.forward, [&] {
      models::ForwardOptions options;
      options.compute = bench_.subject.compute;
      options.recompute = bench_.recompute;
      loss = finetune::sample_losses(model_, batch_, options).mean();
    });
    part(out.backward, [&] { loss.backward(); });
    part(out.update, [&] {
      const double norm = train::gradient_norm(parameters_).item<double>();
      if (norm > config_.clip_norm) train::scale_gradients(parameters_, config_.clip_norm / norm);
      optimizer_.step(config_.lr);
    });
    if (counts) out.seconds.push_back(total);
    out.loss = loss.item<double>();
    require(std::isfinite(out.loss), [&] {
      return cat("[bench] found a loss of ", out.loss,
                 ", expected a finite number; the model's weights do not fit the ", "type of its products");
    });
  }

  /// Bytes that are there between two steps.
  void count(StepMeasures& out) const {
    out.weight_bytes = bytes_of(parameters_, false);
    out.gradient_bytes = bytes_of(parameters_, true);
    for (const auto& item : optimizer_.state()) out.optimizer_bytes += static_cast<std::int64_t>(item.second.nbytes());
    for (const train::NamedParameter& p : parameters_) out.parameters += p.tensor.numel();
  }

 private:
  static std::vector<train::NamedParameter> trained(const models::VideoTransformer& model) {
    std::vector<train::NamedParameter> out;
    for (const auto& item : model->named_parameters()) {
      item.value().requires_grad_(true);
      out.push_back({item.key(), item.value()});
    }
    return out;
  }

  const TrainBench& bench_;
  models::VideoTransformer model_;
  std::vector<finetune::FlowSample> batch_;
  std::vector<train::NamedParameter> parameters_;
  train::TrainConfig config_;
  train::AdamW optimizer_;
};

std::string name_of(models::Recompute recompute) {
  if (recompute == models::Recompute::none) return "none";
  return recompute == models::Recompute::full ? "full" : "selective";
}

json estimate_json(const analysis::MemoryEstimate& estimate) {
  return {{"weights", estimate.weights},
          {"gradients", estimate.gradients},
          {"optimizer", estimate.optimizer},
          {"activations", estimate.activations},
          {"total", estimate.total()}};
}

}  // namespace

std::int64_t StepMeasures::peak_bytes() const {
  return std::max({forward.peak_bytes, backward.peak_bytes, update.peak_bytes});
}

StepMeasures measure_step(const TrainBench& bench, const models::ModelRegistry& families) {
  const models::VideoTransformer model = bench.subject.make(families, at::kFloat);
  StepMeasures out;
  out.attention = attention_names(model);
  out.layers = model->block_count();
  out.tokens = bench.subject.video().tokens(model->architecture());
  out.tflop = kForwardAndBackward * forward_tflop(model, bench.subject);
  analysis::TrainingSetup setup;
  setup.batch = bench.subject.batch;
  setup.compute_bytes = static_cast<std::int64_t>(at::elementSize(bench.subject.compute));
  setup.recompute = bench.recompute;
  out.estimate = analysis::training_memory(model->architecture(), bench.subject.video(), block_choices(model), setup);
  Trainee trainee(bench, model);
  Progress progress("bench train", bench.warmup + bench.repeats, "steps");
  for (std::int64_t i = 0; i < bench.warmup + bench.repeats; ++i) {
    trainee.step(out, i >= bench.warmup);
    progress.advance(1);
  }
  progress.finish();
  trainee.count(out);
  for (auto* seconds : {&out.seconds, &out.forward.seconds, &out.backward.seconds, &out.update.seconds})
    std::sort(seconds->begin(), seconds->end());
  return out;
}

json to_json(const TrainBench& bench, const StepMeasures& m) {
  json out = {{"bench", "train"}};
  out.update(to_json(bench.subject));
  const double time = median(m.seconds);
  const auto part = [](const StepPart& p) {
    return json{{"seconds_median", median(p.seconds)}, {"peak_bytes", p.peak_bytes}};
  };
  out.update({{"attention", m.attention},
              {"recompute", name_of(bench.recompute)},
              {"layers", m.layers},
              {"tokens", m.tokens},
              {"parameters", m.parameters},
              {"warmup", bench.warmup},
              {"repeats", bench.repeats},
              {"seconds_median", time},
              {"seconds_min", m.seconds.front()},
              {"seconds_max", m.seconds.back()},
              {"forward", part(m.forward)},
              {"backward", part(m.backward)},
              {"update", part(m.update)},
              {"tflop", m.tflop},
              {"tflop_per_s", m.tflop / time},
              {"peak_bytes", m.peak_bytes()},
              {"weight_bytes", m.weight_bytes},
              {"gradient_bytes", m.gradient_bytes},
              {"optimizer_bytes", m.optimizer_bytes},
              {"estimate", estimate_json(m.estimate)},
              {"loss", m.loss}});
  return out;
}

std::string to_text(const TrainBench& bench, const StepMeasures& m) {
  const auto seconds = [](double value) { return human_number(value, 4) + " s"; };
  TextList list;
  const double time = median(m.seconds);
  list.add("step", cat(seconds(time), ", the median of ", bench.repeats, " steps after ", bench.warmup, ", ",
                       seconds(m.seconds.front()), " to ", seconds(m.seconds.back())));
  for (const auto& [name, part] : {std::pair{"forward", &m.forward}, {"backward", &m.backward}, {"update", &m.update}})
    list.add(name, cat(seconds(median(part->seconds)), ", ", human_bytes(part->peak_bytes), " at most"));
  list.add("work", cat(human_flop(m.tflop), ", ", human_flop(m.tflop / time), "/s, without what is run again"));
  list.add("memory", cat(human_bytes(m.peak_bytes()), " at most",
                         bench.subject.device.is_cuda() ? " on the GPU" : ", of the whole program", ": weights ",
                         human_bytes(m.weight_bytes), ", gradients ", human_bytes(m.gradient_bytes), ", optimizer ",
                         human_bytes(m.optimizer_bytes)));
  list.add("estimate",
           cat(human_bytes(m.estimate.total()), ", of it activations ", human_bytes(m.estimate.activations)));
  return cat("a finetuning step, recompute ", name_of(bench.recompute), ", batch ", bench.subject.batch, ", ",
             m.attention, ", ", to_text(bench.subject), "\n", list.text("  "));
}

}  // namespace rehyat::evaluate
