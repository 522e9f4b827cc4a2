#include <array>

#include "core/strings.h"
#include "core/units.h"
#include "evaluate/bench/inputs.h"
#include "evaluate/bench/mode.h"
#include "evaluate/train_bench.h"

namespace rehyat::evaluate {
namespace {

using json = nlohmann::ordered_json;

constexpr double kTrainedParameter = 36;  // bytes: read twice, gradient written and read, three numbers updated
constexpr double kUpdatedParameter = 28;  // bytes: four numbers read, three written, of 4 bytes each

json estimate_json(const analysis::MemoryEstimate& estimate) {
  return {{"weights", estimate.weights},
          {"gradients", estimate.gradients},
          {"optimizer", estimate.optimizer},
          {"activations", estimate.activations},
          {"total", estimate.total()}};
}

/// What each part of a step has to do.
struct StepWork {
  Work forward, backward, update;

  StepWork(const BenchRequest& request, const StepMeasures& m) {
    const auto passes = static_cast<double>(request.accumulate);
    const auto share = [&](models::Recompute policy) {
      return static_cast<double>(m.recompute.count(policy, m.layers)) / static_cast<double>(m.layers);
    };
    const double again = share(models::Recompute::full) * m.forward_tflop +
                         share(models::Recompute::selective) * (m.forward_tflop - m.attention_tflop);
    const auto parameters = static_cast<double>(m.parameters);
    forward = Work{m.forward_tflop, 0, m.stream_bytes} * passes;
    backward = Work{2 * m.forward_tflop, again, 2 * m.stream_bytes} * passes;
    update = {0, 0, kUpdatedParameter * parameters};
    forward.bytes += 4 * parameters;
    backward.bytes += (kTrainedParameter - kUpdatedParameter - 4) * parameters;
  }
  Work whole() const { return forward + backward + update; }
};

BenchResult run_step(const BenchRequest& request, const models::ModelRegistry& families, const Ceilings& ceilings) {
  const TrainBench bench{.subject = request.subject,
                         .recompute = request.recompute,
                         .memory = request.memory,
                         .offload = request.offload,
                         .warmup = request.warmup,
                         .repeats = request.repeats,
                         .accumulate = request.accumulate};
  const StepMeasures m = measure_step(bench, families);
  const StepWork work(request, m);
  BenchResult out;
  out.attention = m.attention;
  const auto add = [&](const char* name, const std::vector<double>& seconds, std::int64_t peak, const Work& of) {
    Measure row{.name = name, .seconds = seconds, .work = of, .peak_bytes = peak};
    row.least_seconds = floor_seconds({of}, ceilings);
    out.rows.push_back(std::move(row));
  };
  add("step", m.seconds, m.peak_bytes(), work.whole());
  add("forward", m.forward.seconds, m.forward.peak_bytes, work.forward);
  add("backward", m.backward.seconds, m.backward.peak_bytes, work.backward);
  add("update", m.update.seconds, m.update.peak_bytes, work.update);
  out.own = {{"recompute", models::to_string(m.recompute)},
             {"offload", request.offload},
             {"accumulate", request.accumulate},
             {"layers", m.layers},
             {"tokens", m.tokens},
             {"parameters", m.parameters},
             {"weight_bytes", m.weight_bytes},
             {"gradient_bytes", m.gradient_bytes},
             {"optimizer_bytes", m.optimizer_bytes},
             {"estimate", estimate_json(m.estimate)},
             {"loss", m.loss}};
  out.notes = {
      {"step", cat("recompute ", models::to_string(m.recompute), request.offload ? ", offload optimizer, " : ", ",
                   request.accumulate, " x ", request.subject.batch, " videos before an update")},
      {"memory", cat(human_bytes(m.peak_bytes()), " at most: weights ", human_bytes(m.weight_bytes), ", gradients ",
                     human_bytes(m.gradient_bytes), ", optimizer ", human_bytes(m.optimizer_bytes))},
      {"estimate", cat(human_bytes(m.estimate.total()), ", of it activations ", human_bytes(m.estimate.activations))}};
  return out;
}

}  // namespace

BenchMode step_bench() {
  return {.name = "step",
          .summary = "a step of finetuning all weights, AdamW included (also called train)",
          .options = {"--batch", "--layers", "--attention", "--converted", "--recompute", "--memory", "--offload",
                      "--accumulate"},
          .warmup = 1,
          .repeats = 3,
          .run = run_step};
}

}  // namespace rehyat::evaluate
