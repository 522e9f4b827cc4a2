#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

namespace rehyat::evaluate {

/// Rates of a device at work that does nothing else, measured in the run whose numbers are compared with them.
struct Ceilings {
  double tflop_per_s = 0;  ///< of the product of two large square matrices, in the type of the products
  double bytes_per_s = 0;  ///< of a copy from one large tensor to another, read and written bytes counted
};

/// The best of a few tries.
Ceilings measure_ceilings(at::Device device, at::ScalarType compute);

/// What a piece of work asks of a device; 0 is not counted.
struct Work {
  double tflop = 0;      ///< of the products that the result needs
  double run_again = 0;  ///< TFLOP beside them: forward passes that are repeated to save memory
  double bytes = 0;      ///< least traffic: each large operand and result once

  Work operator+(const Work& other) const;
  Work operator*(double times) const;
};

/// The least time that parts take one after the other, each by the slower of its products and its traffic.
double floor_seconds(const std::vector<Work>& parts, const Ceilings& ceilings);

/// One row of a bench.
struct Measure {
  std::string name;
  std::vector<double> seconds;  ///< of each repeat, ascending
  Work work;                    ///< of one repeat
  std::int64_t peak_bytes = 0;  ///< of the GPU's allocator, or of the whole process on a CPU
  double least_seconds = 0;     ///< floor_seconds of its parts; 0 where nobody counted it
  nlohmann::ordered_json own = nlohmann::ordered_json::object();  ///< what the bench says beside it
  std::string note = {};                                          ///< the same for people

  double median() const;
};

/// How often something is run, and under which title it tells its progress.
struct Rounds {
  std::string title;
  std::int64_t warmup = 2, repeats = 5;
};

/// Runs the work and measures it: a repeat of short work is as many runs as take 20 ms together, divided by their
/// number, so that neither the clock nor waiting for the device counts. A profiler sees the repeats alone
/// (ProfileRange). Only name, seconds and peak_bytes are set.
Measure measure(const std::string& name, at::Device device, const Rounds& rounds, const std::function<void()>& work);

/// Seconds of one call, with the device's work in it.
double seconds_of(at::Device device, const std::function<void()>& work);

}  // namespace rehyat::evaluate
