#pragma once

#include <ATen/ATen.h>

#include "core/rng.h"

namespace rehyat {

/// Standard normal / uniform [0, 1) values of a stream, float32 on the CPU, then moved: the same on every device.
at::Tensor randn(Rng& rng, at::IntArrayRef shape, at::Device device = at::kCPU);
at::Tensor rand(Rng& rng, at::IntArrayRef shape, at::Device device = at::kCPU);

}  // namespace rehyat
