#pragma once

#include <ATen/ATen.h>

#include <array>
#include <cstdint>
#include <deque>

namespace rehyat::ops {

/// The rotary tables of Wan's three axes for a grid of (t, h, w) tokens: cos, sin [t*h*w, D/2] in `dtype`, computed in
/// float64. Axis widths h = w = 2*(D/6), t the rest; theta 1e4; `first_slice` offsets the time axis (chunk-wise use).
struct RopeTables {
  at::Tensor cos, sin;
};
RopeTables rope_tables(std::int64_t head_width, std::array<std::int64_t, 3> grid, at::ScalarType dtype,
                       at::Device device, std::int64_t first_slice = 0);

/// The tables of the grids that were asked for last, so that a forward pass neither computes nor copies them again. Not
/// thread-safe.
class RopeCache {
 public:
  /// As rope_tables.
  RopeTables get(std::int64_t head_width, std::array<std::int64_t, 3> grid, at::ScalarType dtype, at::Device device,
                 std::int64_t first_slice = 0);
  static constexpr std::size_t kEntries = 8;

 private:
  struct Entry {
    std::int64_t head_width;
    std::array<std::int64_t, 3> grid;
    at::ScalarType dtype;
    at::Device device;
    std::int64_t first_slice;
    RopeTables tables;
  };
  std::deque<Entry> entries_;  ///< the oldest first
};

/// Rotates interleaved pairs of x [B,A,N,D]; the product is taken in the tables' dtype and cast back.
at::Tensor apply_rope(const at::Tensor& x, const RopeTables& tables);

}  // namespace rehyat::ops
