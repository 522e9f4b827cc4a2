#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>

namespace rehyat::ops {

/// The rotary tables of Wan's three axes for a grid of (t, h, w) tokens: cos, sin [t*h*w, D/2] in `dtype`, computed in
/// float64. Axis widths h = w = 2*(D/6), t the rest; theta 1e4; `first_slice` offsets the time axis (chunk-wise use).
struct RopeTables {
  at::Tensor cos, sin;
};
RopeTables rope_tables(std::int64_t head_width, std::array<std::int64_t, 3> grid, at::ScalarType dtype,
                       at::Device device, std::int64_t first_slice = 0);

/// Rotates interleaved pairs of x [B,A,N,D]; the product is taken in the tables' dtype and cast back.
at::Tensor apply_rope(const at::Tensor& x, const RopeTables& tables);

}  // namespace rehyat::ops
