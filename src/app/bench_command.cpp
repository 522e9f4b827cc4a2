#include <ATen/DeviceAccelerator.h>
#include <torch/cuda.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <memory>
#include <sstream>

#include "analysis/cost.h"
#include "app/command.h"
#include "app/load_experiment.h"
#include "core/progress.h"
#include "core/strings.h"
#include "models/wan/weights.h"
#include "tensor/random.h"

namespace rehyat::app {
namespace {

using json = nlohmann::ordered_json;
using Clock = std::chrono::steady_clock;

struct Options {
  std::string what = "forward", model, attention = "softmax", precision = "auto", device = "auto", form = "parallel";
  std::int64_t frames = 81, height = 480, width = 832, batch = 1, repeats = 5, warmup = 2, tc = 3, to = 1, layers = 0;
};

at::Device device_of(const std::string& wanted) {
  const bool available = torch::cuda::is_available();
  require(wanted != "cuda" || available,
          [] { return "--device: found cuda, but no GPU can be used, expected one; use --device cpu"; });
  return wanted != "cpu" && available ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
}

at::ScalarType precision_of(const std::string& name, at::Device device) {
  if (name == "auto") return device.is_cuda() ? at::kBFloat16 : at::kFloat;
  return name == "bf16" ? at::kBFloat16 : name == "f16" ? at::kHalf : at::kFloat;
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

models::WanTransformer make_model(const Options& options, at::Device device) {
  models::WanTransformer model{nullptr};
  if (options.model.empty()) {
    models::WanConfig config;
    if (options.layers > 0) config.layers = options.layers;
    model = models::WanTransformer(config);
    model->to(device);
    // Any finite numbers: time does not depend on them, and drawing 1.3 billion by our own streams takes minutes.
    const at::NoGradGuard no_grad;
    for (auto& p : model->parameters()) p.normal_(0, 0.02);
  } else {
    model = models::load_model(options.model, device);
  }
  if (options.attention == "softmax") return model;
  models::HybridConfig hybrid;
  hybrid.attention.spec.tc = options.tc;
  hybrid.attention.spec.to = options.to;
  const std::int64_t slices = 1 + (options.frames - 1) / 4;
  models::convert(model, models::resolve(hybrid, model->block_count()), 1,
                  {slices, options.height / 8, options.width / 8});
  model->to(device);
  return model;
}

/// FLOP of one forward pass as it is run: the recurrent count where there is one.
double tflops_of(const models::WanTransformer& model, const Options& options) {
  const analysis::Dimensions dimensions = dimensions_of(model->config());
  std::vector<analysis::BlockChoice> blocks;
  for (std::int64_t i = 0; i < model->block_count(); ++i) {
    const models::BlockAttention& attention = model->attention(i)->attention();
    blocks.push_back({attention.spec, attention.phi});
  }
  const analysis::ModelCost cost =
      analysis::model_cost(dimensions, {options.frames, options.height, options.width}, blocks);
  return static_cast<double>(options.batch) * cost.tflops_recurrent;
}

void forward(Context& context, const Options& options) {
  const at::NoGradGuard no_grad;
  const at::Device device = device_of(options.device);
  const at::ScalarType compute = precision_of(options.precision, device);
  analysis::VideoSize{options.frames, options.height, options.width}.validate({});
  models::WanTransformer model = make_model(options, device);
  const models::WanConfig& config = model->config();
  const std::int64_t slices = 1 + (options.frames - 1) / 4;
  const auto on = at::TensorOptions().device(device);
  const at::Tensor x =
      at::randn({options.batch, config.in_channels, slices, options.height / 8, options.width / 8}, on);
  const at::Tensor text = at::randn({options.batch, config.text_length, config.text_dim}, on),
                   time = at::full({options.batch}, 500.0, on);
  models::ForwardOptions how;
  how.compute = compute;
  how.form = options.form == "recurrent" ? models::AttentionForm::recurrent : models::AttentionForm::parallel;
  wait_for(device);
  if (device.is_cuda()) at::getDeviceAllocator(at::kCUDA)->resetPeakStats(device.index());
  std::vector<double> seconds;
  Progress progress("bench forward", options.warmup + options.repeats, "passes");
  for (std::int64_t i = 0; i < options.warmup + options.repeats; ++i) {
    const auto start = Clock::now();
    const at::Tensor y = model->forward(x, time, text, how);
    wait_for(device);
    if (i >= options.warmup) seconds.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    progress.advance(1);
  }
  progress.finish();
  std::sort(seconds.begin(), seconds.end());
  const double median = seconds[seconds.size() / 2], work = tflops_of(model, options);
  const std::string attention = ops::to_string(model->attention(0)->attention().spec);
  const json result = {{"bench", "forward"},
                       {"device", device.str()},
                       {"compute", at::toString(compute)},
                       {"weights", at::toString(model->parameters().front().scalar_type())},
                       {"attention", attention},
                       {"form", options.form},
                       {"layers", model->block_count()},
                       {"batch", options.batch},
                       {"frames", options.frames},
                       {"height", options.height},
                       {"width", options.width},
                       {"tokens", slices * (options.height / 16) * (options.width / 16)},
                       {"repeats", options.repeats},
                       {"seconds_median", median},
                       {"seconds_min", seconds.front()},
                       {"seconds_max", seconds.back()},
                       {"tflop", work},
                       {"tflop_per_s", work / median},
                       {"peak_bytes", peak_bytes(device)}};
  std::ostringstream text_out;
  text_out << "forward, " << attention << ", " << options.frames << " frames at " << options.height << " x "
           << options.width << ", " << at::toString(compute) << " on " << device.str() << ": median " << median
           << " s (" << seconds.front() << " to " << seconds.back() << ", " << options.repeats << " passes after "
           << options.warmup << "), " << work / median << " TFLOP/s, peak memory " << human_bytes(peak_bytes(device));
  context.result(result, text_out.str());
}

}  // namespace

Command bench_command() {
  Command command;
  command.name = "bench";
  command.summary = "time and memory of a forward pass, by default of Wan2.1 1.3B with random weights";
  command.example =
      "rehyat bench forward --frames 81 --height 480 --width 832 --precision bf16\n"
      "  rehyat bench forward --attention rehyat --tc 3 --to 1";
  command.takes_config = false;
  const auto options = std::make_shared<Options>();
  command.declare = [options](CLI::App& app) {
    app.add_option("what", options->what, "forward")->check(CLI::IsMember({"forward"}))->capture_default_str();
    app.add_option("--model", options->model, "a model folder; default: Wan2.1 1.3B's shape with random weights");
    app.add_option("--layers", options->layers, "of the random model; 0 = 30")->check(CLI::NonNegativeNumber);
    app.add_option("--attention", options->attention, "softmax, or rehyat in every block")
        ->check(CLI::IsMember({"softmax", "rehyat"}))
        ->capture_default_str();
    app.add_option("--tc", options->tc, "of rehyat: slices a chunk")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--to", options->to, "of rehyat: slices of overlap")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
    app.add_option("--form", options->form, "form of the hybrid attention")
        ->check(CLI::IsMember({"parallel", "recurrent"}))
        ->capture_default_str();
    app.add_option("--frames", options->frames, "4k + 1")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--height", options->height, "pixels")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--width", options->width, "pixels")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--batch", options->batch, "videos at a time")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--precision", options->precision, "auto (bf16 on a GPU, f32 on a CPU), f32, bf16 or f16")
        ->check(CLI::IsMember({"auto", "f32", "bf16", "f16"}))
        ->capture_default_str();
    app.add_option("--device", options->device, "auto, cpu or cuda")
        ->check(CLI::IsMember({"auto", "cpu", "cuda"}))
        ->capture_default_str();
    app.add_option("--repeats", options->repeats, "timed passes")->check(CLI::PositiveNumber)->capture_default_str();
    app.add_option("--warmup", options->warmup, "passes before them")
        ->check(CLI::NonNegativeNumber)
        ->capture_default_str();
  };
  command.run = [options](Context& context) { forward(context, *options); };
  return command;
}

}  // namespace rehyat::app
