#pragma once

#include <ATen/ATen.h>

#include "config/config.h"

namespace rehyat {

/// Type of the matrix products; weights, states, sums and losses stay float32.
enum class Precision { automatic, f32, bf16 };

/// automatic: bf16 on GPUs, whose fast attention kernels want it, float32 on CPUs.
at::ScalarType compute_type(Precision precision, at::Device device);

/// The key "precision" of a stage's section.
void add_precision(config::Fields& f, Precision& value);

}  // namespace rehyat
