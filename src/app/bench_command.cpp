#include <ATen/DeviceAccelerator.h>
#include <torch/cuda.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <optional>
#include <set>
#include <vector>

#include "analysis/cost.h"
#include "app/command.h"
#include "app/device_option.h"
#include "app/load_experiment.h"
#include "core/progress.h"
#include "core/strings.h"
#include "models/hybrid.h"
#include "models/model_registry.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

constexpr const char* kFamily = "wan";  // of the model with arbitrary weights

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

/// Most bytes that were in use since the last reset: of the GPU's allocator, or of the whole process on a CPU.
std::int64_t peak_bytes(at::Device device) {
  if (device.is_cuda()) {
    const auto stats = at::getDeviceAllocator(at::kCUDA)->getDeviceStats(device.index());
    return stats.allocated_bytes[static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE)].peak;
  }
  std::ifstream status("/proc/self/status");
  for (std::string line; std::getline(status, line);) {
    if (line.rfind("VmHWM:", 0) == 0) return std::stoll(line.substr(6)) * 1024;
  }
  return 0;
}

/// The settings of the model with arbitrary weights.
json arbitrary(const BenchOptions& options) {
  return options.layers ? json{{"layers", *options.layers}} : json::object();
}

/// With weights in `type`, which is what they are multiplied in; feature maps are float32.
models::VideoTransformer make_model(const BenchOptions& options, const models::ModelRegistry& families,
                                    at::Device device, at::ScalarType type) {
  models::VideoTransformer model{nullptr};
  if (options.model.empty()) {
    model = families.named(kFamily).make(arbitrary(options));
    model->to(device, type);
    for (auto& parameter : model->parameters()) parameter.copy_(spread(parameter.sizes(), 0.03, parameter.options()));
  } else {
    model = families.load(options.model, {.device = device, .type = type});
  }
  if (options.attention != "rehyat") return model;
  models::HybridConfig hybrid;
  hybrid.attention.spec.kind = ops::AttentionKind::rehyat;
  hybrid.attention.spec.tc = options.tc.value_or(hybrid.attention.spec.tc);
  hybrid.attention.spec.to = options.to.value_or(hybrid.attention.spec.to);
  const std::int64_t slices = 1 + (options.frames - 1) / 4;
  models::convert(model, models::resolve(hybrid, model->block_count()), 1,
                  {slices, options.height / 8, options.width / 8});
  return model;
}

/// The attention of the model's blocks, by name, each once.
std::string attention_of(const models::VideoTransformer& model) {
  std::set<std::string> names;
  for (std::int64_t i = 0; i < model->block_count(); ++i)
    names.insert(ops::to_string(model->attention(i)->attention().spec));
  return join({names.begin(), names.end()}, "; ");
}

/// TFLOP of one forward pass as it is run: every token is folded into a state once.
double tflops_of(const models::VideoTransformer& model, const BenchOptions& options) {
  std::vector<analysis::BlockChoice> blocks;
  for (std::int64_t i = 0; i < model->block_count(); ++i) {
    const models::BlockAttention& attention = model->attention(i)->attention();
    blocks.push_back({attention.spec, attention.phi});
  }
  const analysis::ModelCost cost =
      analysis::model_cost(model->architecture(), {options.frames, options.height, options.width}, blocks);
  return static_cast<double>(options.batch) * cost.tflops_recurrent;
}

struct Passes {
  std::vector<double> seconds;  ///< ascending
  std::int64_t peak_bytes = 0;
  double median() const { return seconds[seconds.size() / 2]; }
};

Passes time_passes(const models::VideoTransformer& model, const BenchOptions& options, at::Device device,
                   at::ScalarType compute) {
  const models::Architecture& sizes = model->architecture();
  const auto on = at::TensorOptions().device(device);
  const std::int64_t slices = 1 + (options.frames - 1) / 4;
  const at::Tensor x = spread({options.batch, sizes.channels, slices, options.height / 8, options.width / 8}, 1.7, on);
  const at::Tensor text = spread({options.batch, sizes.text_tokens, sizes.text_width}, 1.7, on),
                   time = at::full({options.batch}, 500.0, on);
  models::ForwardOptions how;
  how.compute = compute;
  how.form = options.form == "recurrent" ? models::AttentionForm::recurrent : models::AttentionForm::parallel;
  wait_for(device);
  if (device.is_cuda()) at::getDeviceAllocator(at::kCUDA)->resetPeakStats(device.index());
  Passes out;
  Progress progress("bench forward", options.warmup + options.repeats, "passes");
  for (std::int64_t i = 0; i < options.warmup + options.repeats; ++i) {
    const auto start = Clock::now();
    const at::Tensor y = model->forward(x, time, text, how);
    wait_for(device);
    if (i >= options.warmup) out.seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    progress.advance(1);
  }
  progress.finish();
  std::sort(out.seconds.begin(), out.seconds.end());
  out.peak_bytes = peak_bytes(device);
  return out;
}

void forward(const Context& context, const BenchOptions& options) {
  check(options);
  require(context.world.size() == 1,
          [] { return "[bench] found several ranks, expected one; start it without mpirun"; });
  const at::NoGradGuard no_grad;
  const at::Device device = device_option(options.device);
  const at::ScalarType compute = precision_of(options.precision, device);
  const models::Architecture sizes = options.model.empty()
                                         ? context.families.named(kFamily).architecture(arbitrary(options))
                                         : context.families.read_architecture(options.model);
  const analysis::VideoSize video{options.frames, options.height, options.width};
  video.validate(sizes);
  models::VideoTransformer model = make_model(options, context.families, device, compute);
  const Passes passes = time_passes(model, options, device, compute);
  const double median = passes.median(), work = tflops_of(model, options);
  const json result = {{"bench", "forward"},
                       {"model", options.model.empty() ? "arbitrary" : options.model},
                       {"device", device.str()},
                       {"compute", at::toString(compute)},
                       {"attention", attention_of(model)},
                       {"form", options.form.empty() ? "parallel" : options.form},
                       {"layers", model->block_count()},
                       {"batch", options.batch},
                       {"frames", options.frames},
                       {"height", options.height},
                       {"width", options.width},
                       {"tokens", video.tokens(sizes)},
                       {"warmup", options.warmup},
                       {"repeats", options.repeats},
                       {"seconds_median", median},
                       {"seconds_min", passes.seconds.front()},
                       {"seconds_max", passes.seconds.back()},
                       {"tflop", work},
                       {"tflop_per_s", work / median},
                       {"peak_bytes", passes.peak_bytes}};
  context.result(
      result,
      cat("forward, ", attention_of(model), ", ", options.frames, " frames at ", options.height, " x ", options.width,
          ", ", at::toString(compute), " on ", device.str(), ": median ", median, " s (", passes.seconds.front(),
          " to ", passes.seconds.back(), ", ", options.repeats, " passes after ", options.warmup, "), ", work / median,
          " TFLOP/s, peak memory ", human_bytes(passes.peak_bytes), device.is_cuda() ? "" : " of the whole program"));
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
  command.run = [options](Context& context) { forward(context, *options); };
  return command;
}

}  // namespace rehyat::app
