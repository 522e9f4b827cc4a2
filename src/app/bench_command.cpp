#include <memory>

#include "app/bench_options.h"
#include "app/command.h"
#include "app/device_option.h"
#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "evaluate/forward_bench.h"

namespace rehyat::app {
namespace {

at::ScalarType precision_of(const std::string& name, at::Device device) {
  if (name == "auto") return device.is_cuda() ? at::kBFloat16 : at::kFloat;
  return name == "bf16" ? at::kBFloat16 : name == "f16" ? at::kHalf : at::kFloat;
}

evaluate::ForwardBench bench_of(const BenchOptions& o, const models::ModelRegistry& families) {
  evaluate::ForwardBench bench;
  bench.model = o.model;
  bench.layers = o.layers;
  if (o.attention == "rehyat") {
    models::BlockAttention attention{.spec = {}, .phi = {}};
    attention.spec.kind = ops::AttentionKind::rehyat;
    attention.spec.tc = o.tc.value_or(attention.spec.tc);
    attention.spec.to = o.to.value_or(attention.spec.to);
    bench.attention = attention;
  }
  if (o.form == "recurrent") bench.form = models::AttentionForm::recurrent;
  bench.frames = o.frames, bench.height = o.height, bench.width = o.width, bench.batch = o.batch;
  bench.geometry = families.encoders().named(bench.family).published_geometry();
  bench.warmup = o.warmup, bench.repeats = o.repeats;
  bench.device = device_option(o.device);
  bench.compute = precision_of(o.precision, bench.device);
  return bench;
}

std::string bench_text(const evaluate::ForwardBench& bench, const evaluate::ForwardTimes& times) {
  const auto seconds = [](double value) { return human_number(value, 4) + " s"; };
  TextList list;
  list.add("time", cat(seconds(times.median()), ", the median of ", bench.repeats, " passes after ", bench.warmup, ", ",
                       seconds(times.seconds.front()), " to ", seconds(times.seconds.back())));
  list.add("work", cat(human_flop(times.tflop), ", ", human_flop(times.tflop / times.median()), "/s"));
  list.add("memory", cat(human_bytes(times.peak_bytes), " at most",
                         bench.device.is_cuda() ? " on the GPU" : ", of the whole program"));
  return cat("forward, ", times.attention, ", ", bench.frames, " frames at ", bench.height, " x ", bench.width, ", ",
             at::toString(bench.compute), " on ", bench.device.str(), "\n", list.text("  "));
}

void run_bench(const Context& context, const BenchOptions& options) {
  options.check();
  require(context.world.size() == 1,
          [] { return "[bench] found several ranks, expected one; start it without mpirun"; });
  const evaluate::ForwardBench bench = bench_of(options, context.families);
  const evaluate::ForwardTimes times = evaluate::time_forward(bench, context.families);
  context.result(evaluate::to_json(bench, times), bench_text(bench, times));
}

}  // namespace

Command bench_command() {
  Command command;
  command.name = "bench";
  command.summary = "time and memory of a forward pass, by default of Wan2.1 1.3B with arbitrary weights";
  command.example =
      "rehyat bench forward --frames 81 --height 480 --width 832 --precision bf16\n"
      "  rehyat bench forward --attention rehyat --tc 3 --to 1";
  const auto options = std::make_shared<BenchOptions>();
  command.declare = [options](CLI::App& app) { options->declare(app); };
  command.run = [options](const Context& context) { run_bench(context, *options); };
  return command;
}

}  // namespace rehyat::app
