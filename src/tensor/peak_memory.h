#pragma once

#include <ATen/ATen.h>

#include <cstdint>

namespace rehyat {

/// The most bytes in use at once since the start or the last reset: of the allocator of a GPU, or of the whole process
/// on a CPU, where nothing resets it. 0 where the system does not tell.
std::int64_t peak_memory(at::Device device);
void reset_peak_memory(at::Device device);

}  // namespace rehyat
