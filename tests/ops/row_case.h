#pragma once

#include <array>

#include "core/rng.h"
#include "ops/rope.h"
#include "ops/row_ops.h"
#include "tensor/random.h"

namespace rehyat::ops::testing {

/// Inputs of the row-wise steps: two samples of 24 tokens with 3 heads of 16.
struct RowCase {
  static constexpr std::int64_t kHeads = 3, kWidth = 48;
  static constexpr std::array<std::int64_t, 3> kGrid = {2, 3, 4};
  static constexpr double kEps = 1e-6;

  explicit RowCase(at::ScalarType type, at::Device device = at::kCPU) {
    Rng rng(71, "test.rows");
    const auto draw = [&](at::IntArrayRef sizes) { return randn(rng, sizes).to(device, type); };
    x = draw({2, 24, kWidth}) * 2 + 0.5;
    update = draw({2, 24, kWidth});
    // Parts of one tensor, as a block has them: samples lie further apart than a row is long.
    const at::Tensor modulation = draw({2, 6, kWidth});
    scale = modulation.narrow(1, 1, 1).detach();
    shift = modulation.narrow(1, 0, 1).detach();
    weight = draw({kWidth}) * 0.2 + 1;
    bias = draw({kWidth}) * 0.2;
  }

  RowNorm modulated(at::ScalarType type) const { return {scale, shift, true, kEps, type}; }
  RowNorm weighted(at::ScalarType type) const { return {weight, bias, false, kEps, type}; }

  RopeTables rope(at::ScalarType type) const { return rope_tables(kWidth / kHeads, kGrid, type, x.device()); }

  at::Tensor x, update, scale, shift, weight, bias;
};

}  // namespace rehyat::ops::testing
