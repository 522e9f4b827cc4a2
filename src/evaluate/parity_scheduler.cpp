#include "evaluate/parity_scheduler.h"

#include <charconv>

#include "core/error.h"
#include "core/strings.h"
#include "diffusion/flow_matching.h"
#include "diffusion/scheduler_config.h"
#include "evaluate/parity_errors.h"
#include "tensor/io.h"

namespace rehyat::evaluate {
namespace {

/// What the samplers are held to: a walk of 200 steps in float32.
constexpr double kTolerance = 2e-6;

double number(const std::string& where, const std::string& key, const std::string& text) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  require(error == std::errc() && end == text.data() + text.size(),
          [&] { return cat(where, ": metadata '", key, "': found \"", text, "\", expected a number"); });
  return value;
}

diffusion::SamplerConfig settings_of(const safetensors::Reader& reader, const std::filesystem::path& weights) {
  const std::string where = reader.path().string();
  const auto& metadata = reader.metadata();
  const auto has = [&](const char* key) { return metadata.contains(key); };
  require(has("class") || !weights.empty(), [&] {
    return where +
           ": found no metadata 'class', expected the name of a scheduler, or --weights with a folder that has "
           "a scheduler_config.json";
  });
  diffusion::SamplerConfig config = has("class") ? diffusion::sampler_of_class(metadata.at("class"), where)
                                                 : diffusion::read_scheduler_config(weights);
  if (has("class")) config.shift = 1;  // as the classes themselves have it
  if (has("shift")) config.shift = number(where, "shift", metadata.at("shift"));
  if (has("grid")) config.grid = to_string(diffusion::sigma_grid_of(metadata.at("grid"), where));
  config.steps = reader.at("model_output").shape.empty() ? 0 : reader.at("model_output").shape[0];
  if (has("steps")) {
    const double steps = number(where, "steps", metadata.at("steps"));
    require(steps == static_cast<double>(config.steps), [&] {
      return cat(where, ": metadata 'steps': found ", metadata.at("steps"), ", expected the ", config.steps,
                 " of model_output");
    });
  }
  const double shift = config.shift.value_or(diffusion::kDefaultShift);
  require(config.steps >= 1 && shift > 0, [&] {
    return cat(where, ": found ", config.steps, " steps and the shift ", shift,
               ", expected at least 1 step and a shift above 0");
  });
  return config;
}

at::Tensor read_steps(const safetensors::Reader& reader, const char* name, const std::vector<std::int64_t>& lengths,
                      at::IntArrayRef each) {
  const at::Tensor tensor = read_tensor(reader, reader.at(name));
  const bool fits = tensor.dim() >= 1 && tensor.sizes().slice(1) == each &&
                    std::find(lengths.begin(), lengths.end(), tensor.size(0)) != lengths.end();
  require(fits, [&] {
    std::vector<std::int64_t> expected = {lengths.front()};
    expected.insert(expected.end(), each.begin(), each.end());
    return cat(reader.path().string(), ": tensor '", name, "': found shape ", shape_string(tensor.sizes().vec()),
               ", expected ", shape_string(expected));
  });
  return tensor;
}

}  // namespace

nlohmann::ordered_json scheduler_parity(const ParityRequest& request) {
  const safetensors::Reader reader(request.fixture);
  const std::string where = request.fixture.string();
  const diffusion::SamplerConfig config = settings_of(reader, request.weights);
  const auto sampler = diffusion::make_sampler(config);
  const std::int64_t steps = config.steps;
  const at::Tensor output = read_tensor(reader, reader.at("model_output")).to(request.device);
  const at::IntArrayRef each = output.sizes().slice(1);
  const at::Tensor expected = read_steps(reader, "x", {steps + 1}, each).to(request.device);
  at::Tensor noise;
  if (config.kind == diffusion::SamplerKind::euler_ancestral && steps > 1)
    noise = read_steps(reader, "noise", {steps, steps - 1}, each).to(request.device);

  std::vector<at::Tensor> walk = {expected.select(0, 0).clone()};
  for (std::int64_t i = 0; i < steps; ++i)
    walk.push_back(sampler->step(i, output.select(0, i), walk.back(), [&] { return noise.select(0, i); }));
  for (at::Tensor& x : walk) x = x.to(at::kDouble);

  ParityErrors errors;
  errors.add(where, "x", at::stack(walk), expected);
  const auto add_list = [&](const char* name, const std::vector<std::int64_t>& lengths, auto&& value) {
    if (reader.find(name) == nullptr) return;
    const at::Tensor list = read_steps(reader, name, lengths, {});
    at::Tensor found = at::empty({list.size(0)}, at::kDouble);
    for (std::int64_t i = 0; i < list.size(0); ++i) found[i] = value(i);
    errors.add(where, name, found, list);
  };
  add_list("timesteps", {steps}, [&](std::int64_t i) { return sampler->timestep(i); });
  add_list("sigmas", {steps + 1, steps}, [&](std::int64_t i) { return sampler->sigma(i); });
  nlohmann::ordered_json report = errors.report("scheduler");
  report["settings"] = {{"class", config.kind == diffusion::SamplerKind::unipc   ? "unipc"
                                  : config.kind == diffusion::SamplerKind::euler ? "euler"
                                                                                 : "euler_ancestral"},
                        {"grid", diffusion::to_string(config.sigma_grid())},
                        {"steps", steps},
                        {"shift", config.shift.value_or(diffusion::kDefaultShift)}};
  report["device"] = request.device.str();
  report["default_tolerance"] = kTolerance;
  return report;
}

}  // namespace rehyat::evaluate
