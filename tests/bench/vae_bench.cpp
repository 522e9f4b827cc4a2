#include <ATen/Context.h>
#include <benchmark/benchmark.h>
#include <torch/cuda.h>

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <functional>
#include <iostream>
#include <string>
#include <string_view>
#include <vector>

#include "models/wan/vae.h"
#include "tensor/peak_memory.h"

/// The published Wan video VAE with random weights: one video encoded and decoded, by type, whole and in tiles. Each
/// row gives the median of its passes; the counters give the least and the most seconds and the peak bytes of the
/// allocator, weights and the video included. --frames=, --height=, --width=, --passes= and --together= (VaeOptions)
/// set what is run; --benchmark_format=json prints JSON.
namespace rehyat::models {
namespace {

struct VaeBenchSize {
  std::int64_t frames = 81, height = 480, width = 832, passes = 3, together = 0;
};

struct VaeBenchRow {
  std::string name;
  at::ScalarType type;
  bool tf32, tiled;
};

const std::vector<VaeBenchRow> kVaeBenchRows = {{"bf16", at::kBFloat16, true, false},
                                                {"tf32", at::kFloat, true, false},
                                                {"f32", at::kFloat, false, false},
                                                {"bf16_tiled", at::kBFloat16, true, true}};

/// Weights that keep features near one: a deviation of 1 / sqrt(inputs of a product).
WanVae random_vae(const VaeOptions& options) {
  WanVae vae(VaeConfig(), options);
  const at::NoGradGuard no_grad;
  for (auto& [name, tensor] : vae->tensors()) {
    if (tensor.dim() < 4 || name.ends_with("gamma")) continue;
    tensor.normal_(0, 1 / std::sqrt(static_cast<double>(tensor[0].numel())));
  }
  return vae;
}

double seconds_of(const std::function<void()>& work, at::Device device) {
  const auto wait = [&] {
    if (device.is_cuda()) torch::cuda::synchronize();
  };
  wait();
  const auto begin = std::chrono::steady_clock::now();
  work();
  wait();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

void vae_pass(benchmark::State& state, const VaeBenchRow& row, const VaeBenchSize& size, bool encode) {
  const at::Device device = torch::cuda::is_available() ? at::Device(at::kCUDA, 0) : at::Device(at::kCPU);
  at::globalContext().setAllowTF32CuDNN(row.tf32);
  VaeOptions options{
      .device = device, .compute = row.type, .weights = row.type, .tiling = {}, .together = size.together};
  if (row.tiled) options.tiling = VaeTiling{};
  WanVae vae = random_vae(options);
  const std::int64_t stride = vae->config().spatial_stride(), latents = 1 + (size.frames - 1) / kVaeChunk;
  const at::Tensor input =
      encode ? at::rand({1, 3, size.frames, size.height, size.width}, device) * 2 - 1
             : at::randn({1, vae->config().z_dim, latents, size.height / stride, size.width / stride}, device);
  const auto pass = [&] {
    if (encode) {
      vae->encode(input);
    } else {
      vae->decode(input, [](const at::Tensor&) {});
    }
  };
  pass();
  reset_peak_memory(device);
  std::vector<double> seconds;
  for (auto _ : state) {
    for (std::int64_t i = 0; i < size.passes; ++i) seconds.push_back(seconds_of(pass, device));
    std::ranges::sort(seconds);
    state.SetIterationTime(seconds[seconds.size() / 2]);
  }
  state.counters["least"] = seconds.front();
  state.counters["most"] = seconds.back();
  state.counters["peak_bytes"] = static_cast<double>(peak_memory(device));
  at::globalContext().setAllowTF32CuDNN(true);
}

/// The value of `--name=123` where `argument` is that.
void take(std::string_view argument, std::string_view name, std::int64_t& value) {
  if (!argument.starts_with(name)) return;
  argument.remove_prefix(name.size());
  std::from_chars(argument.data(), argument.data() + argument.size(), value);
}

}  // namespace
}  // namespace rehyat::models

int main(int argc, char** argv) {
  using namespace rehyat::models;
  VaeBenchSize size;
  benchmark::Initialize(&argc, argv);
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    take(argument, "--frames=", size.frames);
    take(argument, "--height=", size.height);
    take(argument, "--width=", size.width);
    take(argument, "--passes=", size.passes);
    take(argument, "--together=", size.together);
  }
  if (size.frames % kVaeChunk != 1 || size.height < 16 || size.width < 16 || size.passes < 1) {
    std::cerr << "bench_vae: expected --frames=4k+1, --height and --width of at least 16, --passes of at least 1\n";
    return 2;
  }
  for (const VaeBenchRow& row : kVaeBenchRows) {
    for (const bool encode : {true, false}) {
      benchmark::RegisterBenchmark(((encode ? "encode/" : "decode/") + row.name).c_str(),
                                   [&, encode](benchmark::State& state) { vae_pass(state, row, size, encode); })
          ->UseManualTime()
          ->Iterations(1)
          ->Unit(benchmark::kMillisecond);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
}
