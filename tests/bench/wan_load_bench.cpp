// How long a full-size Wan2.1 1.3B takes to load and how much memory that needs: random weights in bfloat16 and
// float32, loaded as stored and as float32 masters. peak_bytes is the high-water mark of resident memory during the
// load, mapped pages included, over what the process had before.
#include <benchmark/benchmark.h>
#include <stdlib.h>

#include <filesystem>
#include <fstream>
#include <map>

#include "models/wan/weights.h"

namespace rehyat::models {
namespace {

/// A line of /proc/self/status in bytes.
double memory_of(const std::string& key) {
  std::ifstream status("/proc/self/status");
  for (std::string word; status >> word;) {
    double kilobytes = 0;
    if (word == key + ":" && status >> kilobytes) return kilobytes * 1024;
  }
  return 0;
}

void reset_peak() {
  std::ofstream("/proc/self/clear_refs") << "5";
}

/// Models of each type in a folder that is removed at the end.
class Models {
 public:
  Models() {
    std::string name = (std::filesystem::temp_directory_path() / "rehyat-bench-XXXXXX").string();
    if (mkdtemp(name.data()) == nullptr) throw std::system_error(errno, std::generic_category(), name);
    folder_ = name;
  }
  ~Models() {
    std::error_code ignored;
    std::filesystem::remove_all(folder_, ignored);
  }
  std::filesystem::path of(at::ScalarType type) {
    const std::filesystem::path path = folder_ / at::toString(type);
    if (!std::filesystem::exists(path)) {
      const at::NoGradGuard no_grad;
      const WanTransformer model{WanConfig()};
      for (at::Tensor& p : model->parameters()) p.normal_(0, 0.02);
      save_model(path, model, type);
    }
    return path;
  }

 private:
  std::filesystem::path folder_;
};

void load(benchmark::State& state, Models& models, at::ScalarType stored, std::optional<at::ScalarType> type) {
  const std::filesystem::path path = models.of(stored);
  LoadOptions options;
  options.type = type;
  double peak = 0, size = 0;
  for (auto _ : state) {
    const double before = memory_of("VmRSS");
    reset_peak();
    const WanTransformer model = load_model(path, options);
    peak = std::max(peak, memory_of("VmHWM") - before);
    size = 0;
    for (const auto& item : model->tensors(Weights::all)) size += static_cast<double>(item.second.nbytes());
  }
  state.counters["peak_bytes"] = peak;
  state.counters["model_bytes"] = size;
}

void finite(benchmark::State& state, at::ScalarType type) {
  const at::Tensor tensor = at::ones({256 << 20}, type);
  for (auto _ : state) require_finite(tensor, "x");
  state.SetBytesProcessed(state.iterations() * static_cast<std::int64_t>(tensor.nbytes()));
}

}  // namespace
}  // namespace rehyat::models

int main(int argc, char** argv) {
  using namespace rehyat::models;
  Models models;
  for (const at::ScalarType type : {at::kBFloat16, at::kFloat}) {
    const std::string name = at::toString(type);
    benchmark::RegisterBenchmark(("load/" + name + "/as_stored").c_str(),
                                 [&, type](benchmark::State& s) { load(s, models, type, std::nullopt); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime()
        ->Iterations(2);
    benchmark::RegisterBenchmark(("load/" + name + "/float32_masters").c_str(),
                                 [&, type](benchmark::State& s) { load(s, models, type, at::kFloat); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime()
        ->Iterations(2);
    benchmark::RegisterBenchmark(("require_finite/" + name).c_str(), [type](benchmark::State& s) { finite(s, type); })
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
  benchmark::Initialize(&argc, argv);
  benchmark::RunSpecifiedBenchmarks();
}
