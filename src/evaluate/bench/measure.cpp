#include "evaluate/bench/measure.h"

#include <ATen/DeviceAccelerator.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <limits>

#include "core/progress.h"
#include "evaluate/bench/profile_range.h"
#include "evaluate/bench_subject.h"
#include "tensor/peak_memory.h"

namespace rehyat::evaluate {
namespace {

constexpr double kShortest = 0.02;  // seconds of a repeat
constexpr double kMostRuns = 200;   // of a repeat
constexpr int kCeilingTries = 5;    // the best of them counts
constexpr double kMegabytes = 1 << 20;

double best_rate(at::Device device, double amount, const std::function<void()>& work) {
  work();
  const int runs = device.is_cuda() ? 4 : 1;  // of a try: a GPU has to be kept busy
  double best = std::numeric_limits<double>::max();
  for (int i = 0; i < kCeilingTries; ++i) {
    best = std::min(best, seconds_of(device, [&] {
                      for (int run = 0; run < runs; ++run) work();
                    }));
  }
  return amount * runs / best;
}

}  // namespace

double seconds_of(at::Device device, const std::function<void()>& work) {
  wait_for(device);
  const auto start = std::chrono::steady_clock::now();
  work();
  wait_for(device);
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

Ceilings measure_ceilings(at::Device device, at::ScalarType compute) {
  const at::NoGradGuard no_grad;
  Ceilings out;
  const bool gpu = device.is_cuda();
  {
    const std::int64_t side = gpu ? 8192 : 1024;
    const auto options = at::TensorOptions().dtype(compute).device(device);
    const at::Tensor a = spread_numbers({side, side}, 1, options), b = spread_numbers({side, side}, 1, options);
    at::Tensor c = at::empty_like(a);
    out.tflop_per_s =
        best_rate(device, 2 * std::pow(static_cast<double>(side), 3) / 1e12, [&] { at::mm_out(c, a, b); });
  }
  {
    const double bytes = kMegabytes * (gpu ? 1024 : 64);
    const auto options = at::TensorOptions().dtype(at::kByte).device(device);
    const at::Tensor from = at::zeros({static_cast<std::int64_t>(bytes)}, options);
    at::Tensor to = at::empty_like(from);
    out.bytes_per_s = best_rate(device, 2 * bytes, [&] { to.copy_(from); });
  }
  if (gpu) at::getDeviceAllocator(at::kCUDA)->emptyCache();
  return out;
}

Work Work::operator+(const Work& other) const {
  return {tflop + other.tflop, run_again + other.run_again, bytes + other.bytes};
}

Work Work::operator*(double times) const {
  return {tflop * times, run_again * times, bytes * times};
}

double floor_seconds(const std::vector<Work>& parts, const Ceilings& ceilings) {
  double out = 0;
  for (const Work& part : parts) out += std::max(part.tflop / ceilings.tflop_per_s, part.bytes / ceilings.bytes_per_s);
  return out;
}

double Measure::median() const {
  return evaluate::median(seconds);
}

Measure measure(const std::string& name, at::Device device, const Rounds& rounds, const std::function<void()>& work) {
  Measure out{.name = name};
  Progress progress(rounds.title, rounds.warmup + rounds.repeats, "repeats");
  wait_for(device);
  reset_peak_memory(device);
  double last = kShortest;
  for (std::int64_t i = 0; i < rounds.warmup; ++i) {
    last = seconds_of(device, work);
    progress.advance(1);
  }
  const double runs = std::clamp(std::floor(kShortest / std::max(last, 1e-9)), 1.0, kMostRuns);
  const ProfileRange profiled;
  for (std::int64_t i = 0; i < rounds.repeats; ++i) {
    const double seconds = seconds_of(device, [&] {
      for (int run = 0; run < static_cast<int>(runs); ++run) work();
    });
    out.seconds.push_back(seconds / runs);
    progress.advance(1);
  }
  progress.finish();
  std::sort(out.seconds.begin(), out.seconds.end());
  out.peak_bytes = peak_memory(device);
  return out;
}

}  // namespace rehyat::evaluate
