#include "evaluate/train_bench.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <memory>

#include "core/error.h"
#include "core/progress.h"
#include "core/strings.h"
#include "evaluate/bench/inputs.h"
#include "evaluate/bench/profile_range.h"
#include "finetune/flow_points.h"
#include "models/dense.h"
#include "tensor/peak_memory.h"
#include "train/optimizer.h"
#include "train/reduce.h"

namespace rehyat::evaluate {
namespace {

using Clock = std::chrono::steady_clock;

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

std::int64_t held_by(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<std::int64_t>(tensor.nbytes()) : 0;
}

/// Parameters of the blocks' products, whose float32 numbers offloading keeps in host memory.
std::int64_t hosted_parameters(const models::VideoTransformer& model) {
  std::int64_t out = 0;
  for (const Replica* replica : models::replicas_of(*model)) out += replica->weight().numel();
  return out;
}

/// A model with its optimizer, ready to take steps.
class Trainee {
 public:
  Trainee(const TrainBench& bench, const models::RecomputePlan& recompute, const models::VideoTransformer& model)
      : bench_(bench),
        recompute_(recompute),
        model_(model),
        batch_(samples(bench.subject, model->architecture())),
        parameters_(trained(model, bench.subject.compute)),
        hosted_(bench.offload ? std::make_unique<train::HostedWeights>(parameters_) : nullptr),
        optimizer_(parameters_, {}, hosted_.get()) {}

  /// Adds what one step took where `counts`.
  void step(StepMeasures& out, bool counts) {
    for (const train::NamedParameter& p : parameters_) p.tensor.mutable_grad().reset();
    at::Tensor loss;
    double forward = 0, backward = 0, update = 0;
    const auto part = [&](StepPart& into, double& seconds, const auto& run) {
      wait_for(bench_.subject.device);
      reset_peak_memory(bench_.subject.device);
      const auto start = Clock::now();
      run();
      wait_for(bench_.subject.device);
      seconds += std::chrono::duration<double>(Clock::now() - start).count();
      into.peak_bytes = std::max(into.peak_bytes, peak_memory(bench_.subject.device));
    };
    for (std::int64_t pass = 0; pass < bench_.accumulate; ++pass) {
      part(out.forward, forward, [&] {
        models::ForwardOptions options;
        options.compute = bench_.subject.compute;
        options.recompute = recompute_;
        loss = finetune::sample_losses(model_, batch_, options).mean();
      });
      part(out.backward, backward, [&] { (loss / static_cast<double>(bench_.accumulate)).backward(); });
    }
    part(out.update, update, [&] {
      const double norm = train::gradient_norm(parameters_).item<double>();
      if (norm > config_.clip_norm) train::scale_gradients(parameters_, config_.clip_norm / norm);
      optimizer_.step(config_.lr);
    });
    if (counts) {
      out.forward.seconds.push_back(forward);
      out.backward.seconds.push_back(backward);
      out.update.seconds.push_back(update);
      out.seconds.push_back(forward + backward + update);
    }
    out.loss = loss.item<double>();
    require(std::isfinite(out.loss), [&] {
      return cat("[bench] found a loss of ", out.loss,
                 ", expected a finite number; the model's weights do not fit the ", "type of its products");
    });
  }

  /// Bytes that are there between two steps.
  void count(StepMeasures& out) const {
    for (const train::NamedParameter& p : parameters_) {
      out.weight_bytes += held_by(hosted_ && p.replica != nullptr ? p.replica->numbers(p.compute) : p.tensor);
      out.gradient_bytes += held_by(p.tensor.grad());
    }
    for (const auto& item : optimizer_.state()) {
      if (item.second.device().type() == bench_.subject.device.type() || !hosted_)
        out.optimizer_bytes += held_by(item.second);
    }
    for (const train::NamedParameter& p : parameters_) out.parameters += p.tensor.numel();
  }

 private:
  static std::vector<train::NamedParameter> trained(const models::VideoTransformer& model, at::ScalarType compute) {
    std::vector<train::NamedParameter> out;
    for (const auto& item : model->named_parameters()) {
      item.value().requires_grad_(true);
      out.push_back({item.key(), item.value(), nullptr, compute});
    }
    for (Replica* const replica : models::replicas_of(*model)) {
      for (train::NamedParameter& p : out) {
        if (replica->weight().is_same(p.tensor)) p.replica = replica;
      }
    }
    return out;
  }

  const TrainBench& bench_;
  models::RecomputePlan recompute_;
  models::VideoTransformer model_;
  std::vector<finetune::FlowSample> batch_;
  std::vector<train::NamedParameter> parameters_;
  train::TrainConfig config_;
  std::unique_ptr<train::HostedWeights> hosted_;
  train::AdamW optimizer_;
};

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
  out.forward_tflop = forward_tflop(model, bench.subject);
  for (const analysis::BlockChoice& block : block_choices(model)) {
    const auto work =
        analysis::attention_work(model->architecture(), bench.subject.video(), block.attention, block.phi);
    out.attention_tflop += static_cast<double>(bench.subject.batch) * (work.softmax + work.linear);
  }
  out.stream_bytes = stream_bytes(bench.subject, model->architecture());
  analysis::TrainingSetup setup;
  setup.batch = bench.subject.batch;
  setup.compute_bytes = static_cast<std::int64_t>(at::elementSize(bench.subject.compute));
  setup.accumulates = bench.accumulate > 1;
  if (bench.offload) setup.hosted = hosted_parameters(model);
  out.recompute = bench.recompute;
  if (bench.memory)
    out.recompute = analysis::fitting_recompute(model->architecture(), bench.subject.video(), block_choices(model),
                                                setup, *bench.memory);
  setup.recompute = out.recompute;
  out.estimate = analysis::training_memory(model->architecture(), bench.subject.video(), block_choices(model), setup);
  Trainee trainee(bench, out.recompute, model);
  Progress progress("bench step", bench.warmup + bench.repeats, "steps");
  for (std::int64_t i = 0; i < bench.warmup + bench.repeats; ++i) {
    const auto profiled = i >= bench.warmup ? std::make_unique<ProfileRange>() : nullptr;
    trainee.step(out, i >= bench.warmup);
    progress.advance(1);
  }
  progress.finish();
  trainee.count(out);
  for (auto* seconds : {&out.seconds, &out.forward.seconds, &out.backward.seconds, &out.update.seconds})
    std::sort(seconds->begin(), seconds->end());
  return out;
}

}  // namespace rehyat::evaluate
