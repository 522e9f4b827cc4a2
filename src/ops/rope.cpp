#include "ops/rope.h"

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::ops {
namespace {

constexpr double kTheta = 1e4;
constexpr std::int64_t kPositions = 1024;  // an axis, as in Wan

/// Angles [positions, width/2] of one axis, float64.
at::Tensor angles(std::int64_t width, std::int64_t first, std::int64_t count) {
  const at::Tensor frequency =
      at::pow(kTheta, at::arange(0, width, 2, at::kDouble) / static_cast<double>(width)).reciprocal();
  return at::outer(at::arange(first, first + count, at::kDouble), frequency);
}

}  // namespace

RopeTables rope_tables(std::int64_t head_width, std::array<std::int64_t, 3> grid, at::ScalarType dtype,
                       at::Device device, std::int64_t first_slice) {
  require(head_width >= 6 && head_width % 2 == 0,
          [&] { return cat("[rope] head width: found ", head_width, ", expected an even number >= 6"); });
  const std::int64_t side = 2 * (head_width / 6);
  const auto [t, h, w] = grid;
  for (const std::int64_t extent : {first_slice + t, h, w}) {
    require(extent >= 1 && extent <= kPositions, [&] {
      return cat("[rope] grid: found ", extent, " positions on an axis of [", first_slice + t, ", ", h, ", ", w,
                 "], expected 1 to ", kPositions);
    });
  }
  const at::Tensor time = angles(head_width - 2 * side, first_slice, t).view({t, 1, 1, -1}).expand({t, h, w, -1});
  const at::Tensor rows = angles(side, 0, h).view({1, h, 1, -1}).expand({t, h, w, -1});
  const at::Tensor columns = angles(side, 0, w).view({1, 1, w, -1}).expand({t, h, w, -1});
  const at::Tensor all = at::cat({time, rows, columns}, -1).reshape({t * h * w, head_width / 2});
  return {all.cos().to(device, dtype), all.sin().to(device, dtype)};
}

RopeTables RopeCache::get(std::int64_t head_width, std::array<std::int64_t, 3> grid, at::ScalarType dtype,
                          at::Device device, std::int64_t first_slice) {
  for (const Entry& e : entries_) {
    if (e.head_width == head_width && e.grid == grid && e.dtype == dtype && e.device == device &&
        e.first_slice == first_slice)
      return e.tables;
  }
  if (entries_.size() == kEntries) entries_.pop_front();
  entries_.push_back(
      {head_width, grid, dtype, device, first_slice, rope_tables(head_width, grid, dtype, device, first_slice)});
  return entries_.back().tables;
}

at::Tensor apply_rope(const at::Tensor& x, const RopeTables& tables) {
  require(x.dim() == 4 && x.size(2) == tables.cos.size(0) && x.size(3) == 2 * tables.cos.size(1), [&] {
    return cat("[rope] x: found ", shape_string(x.sizes().vec()), ", expected [B, A, ", tables.cos.size(0), ", ",
               2 * tables.cos.size(1), "]");
  });
  const at::Tensor pairs = x.to(tables.cos.scalar_type()).unflatten(-1, {-1, 2});
  const at::Tensor even = pairs.select(-1, 0), odd = pairs.select(-1, 1);
  return at::stack({even * tables.cos - odd * tables.sin, even * tables.sin + odd * tables.cos}, -1)
      .flatten(-2)
      .to(x.scalar_type());
}

}  // namespace rehyat::ops
