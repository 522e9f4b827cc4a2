#include <memory>

#include "app/bench_options.h"
#include "app/command.h"
#include "evaluate/forward_bench.h"
#include "evaluate/train_bench.h"

namespace rehyat::app {
namespace {

void run_forward(const Context& context, const BenchOptions& options) {
  evaluate::ForwardBench bench{.subject = options.subject(context.families)};
  if (options.form == "recurrent") bench.form = models::AttentionForm::recurrent;
  bench.warmup = options.warmup, bench.repeats = options.repeats;
  const evaluate::ForwardTimes times = evaluate::time_forward(bench, context.families);
  context.result(evaluate::to_json(bench, times), evaluate::to_text(bench, times));
}

void run_train(const Context& context, const BenchOptions& options) {
  evaluate::TrainBench bench{.subject = options.subject(context.families)};
  if (options.recompute == "none") bench.recompute = models::Recompute::none;
  if (options.recompute == "selective") bench.recompute = models::Recompute::selective;
  bench.warmup = options.warmup, bench.repeats = options.repeats;
  const evaluate::StepMeasures measures = evaluate::measure_step(bench, context.families);
  context.result(evaluate::to_json(bench, measures), evaluate::to_text(bench, measures));
}

void run_bench(const Context& context, const BenchOptions& options) {
  options.check();
  require(context.world.size() == 1,
          [] { return "[bench] found several ranks, expected one; start it without mpirun"; });
  options.what == "train" ? run_train(context, options) : run_forward(context, options);
}

}  // namespace

Command bench_command() {
  Command command;
  command.name = "bench";
  command.summary =
      "time and memory of a forward pass or a finetuning step, by default of Wan2.1 1.3B with arbitrary weights";
  command.example =
      "rehyat bench forward --attention rehyat --tc 3 --to 1 --precision bf16\n"
      "  rehyat bench train --attention rehyat --converted 15 --frames 81 --height 480 --width 832";
  const auto options = std::make_shared<BenchOptions>();
  command.declare = [options](CLI::App& app) { options->declare(app); };
  command.run = [options](const Context& context) { run_bench(context, *options); };
  return command;
}

}  // namespace rehyat::app
