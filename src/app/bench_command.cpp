#include <memory>
#include <optional>

#include "app/command.h"
#include "app/device_option.h"
#include "core/strings.h"
#include "evaluate/forward_bench.h"

namespace rehyat::app {
namespace {

struct BenchOptions {
  std::string what = "forward", model, attention, precision = "auto", device = "auto", form;
  std::int64_t frames = 81, height = 480, width = 832, batch = 1, repeats = 5, warmup = 2;
  std::optional<std::int64_t> tc, to, layers;
};

/// BenchOptions that mean nothing beside others are refused, not ignored.
void check(const BenchOptions& o) {
  const auto refuse = [](bool given, const char* option, const char* hint) {
    if (given) throw UsageError(Mistake{"bench", option, hint, ""});
  };
  refuse(o.layers && !o.model.empty(), "--layers beside --model", "one of them; a model has its own layers");
  refuse((o.tc || o.to) && o.attention != "rehyat", "--tc or --to alone", "--attention rehyat beside them");
  refuse(!o.form.empty() && o.attention != "rehyat" && o.model.empty(), "--form alone",
         "--attention rehyat or --model beside it; softmax attention has one form");
}

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

void run_bench(const Context& context, const BenchOptions& options) {
  check(options);
  require(context.world.size() == 1,
          [] { return "[bench] found several ranks, expected one; start it without mpirun"; });
  const evaluate::ForwardBench bench = bench_of(options, context.families);
  const evaluate::ForwardTimes times = evaluate::time_forward(bench, context.families);
  context.result(evaluate::to_json(bench, times),
                 cat("forward, ", times.attention, ", ", bench.frames, " frames at ", bench.height, " x ", bench.width,
                     ", ", at::toString(bench.compute), " on ", bench.device.str(), ": median ", times.median(), " s (",
                     times.seconds.front(), " to ", times.seconds.back(), ", ", bench.repeats, " passes after ",
                     bench.warmup, "), ", times.tflop / times.median(), " TFLOP/s, peak memory ",
                     human_bytes(times.peak_bytes), bench.device.is_cuda() ? "" : " of the whole program"));
}

}  // namespace

Command bench_command() {
  Command command;
  command.name = "bench";
  command.summary = "time and memory of a forward pass, by default of Wan2.1 1.3B with arbitrary weights";
  command.example =
      "rehyat bench forward --frames 81 --height 480 --width 832 --precision bf16\n"
      "  rehyat bench forward --attention rehyat --tc 3 --to 1";
  command.takes_config = false;
  const auto options = std::make_shared<BenchOptions>();
  command.declare = [options](CLI::App& app) {
    app.add_option("what", options->what, "forward")->check(CLI::IsMember({"forward"}))->capture_default_str();
    app.add_option("--model", options->model,
                   "a model folder or single file; default: Wan2.1 1.3B's shape with arbitrary weights");
    app.add_option("--layers", options->layers, "of the arbitrary model (default 30)")->check(CLI::PositiveNumber);
    app.add_option("--attention", options->attention, "rehyat: convert every block first; default: as the model is")
        ->check(CLI::IsMember({"rehyat"}));
    app.add_option("--tc", options->tc, "of rehyat: slices a chunk (default 3)")->check(CLI::PositiveNumber);
    app.add_option("--to", options->to, "of rehyat: slices of overlap (default 1)")->check(CLI::NonNegativeNumber);
    app.add_option("--form", options->form, "form of the hybrid attention: parallel (default) or recurrent")
        ->check(CLI::IsMember({"parallel", "recurrent"}));
    app.add_option("--frames", options->frames, "4k + 1")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--height", options->height, "pixels")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--width", options->width, "pixels")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--batch", options->batch, "videos at a time")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--precision", options->precision,
                   "of weights and products: auto (bf16 on a GPU, f32 on a CPU), f32, bf16 or f16")
        ->check(CLI::IsMember({"auto", "f32", "bf16", "f16"}))
        ->capture_default_str();
    app.add_option("--device", options->device, "auto, cpu or cuda")
        ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
        ->capture_default_str();
    app.add_option("--repeats", options->repeats, "timed passes, whose median is told")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
    app.add_option("--warmup", options->warmup, "passes before them")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
  };
  command.run = [options](Context& context) { run_bench(context, *options); };
  return command;
}

}  // namespace rehyat::app
