#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/strings.h"
#include "ops/attention_spec.h"
#include "ops/row_max.h"
#include "tensor/random.h"

namespace rehyat::ops {

/// The obvious form: all scores of each rectangle, in float64.
inline at::Tensor row_maxima_of_all_scores(const at::Tensor& q, const at::Tensor& k,
                                           const std::vector<RectangleBatch>& batches) {
  const at::Tensor queries = q.to(at::kDouble), keys = k.to(at::kDouble);
  const at::Tensor out = at::empty(q.sizes().slice(0, 3), queries.options());
  for (const RectangleBatch& batch : batches) {
    for (std::int64_t i = 0; i < batch.count; ++i) {
      const at::Tensor rows = queries.narrow(2, batch.q_begin + i * batch.q_stride, batch.q_rows);
      const at::Tensor columns = keys.narrow(2, batch.k_begin + i * batch.k_stride, batch.k_rows);
      const at::Tensor scores = at::matmul(rows, columns.transpose(-1, -2)) / std::sqrt(static_cast<double>(q.size(3)));
      out.narrow(2, batch.q_begin + i * batch.q_stride, batch.q_rows).copy_(scores.amax(-1));
    }
  }
  return out;
}

/// The largest error of row_maxima beside what rounding of products in float32 can make: the sum of |q_i k_i| of a row.
inline double row_max_error(const at::Tensor& q, const at::Tensor& k, const std::vector<RectangleBatch>& batches) {
  const at::Tensor found = row_maxima(q, k, batches).to(at::kDouble);
  const at::Tensor exact = row_maxima_of_all_scores(q, k, batches);
  const at::Tensor size = row_maxima_of_all_scores(q.abs(), k.abs(), batches).clamp_min(1e-30);
  return ((found - exact).abs() / size).max().item<double>();
}

/// The rectangles of (tc, to), all of them and for one query for each key.
inline std::vector<std::vector<RectangleBatch>> row_max_rectangles(std::int64_t slices, std::int64_t per_slice) {
  std::vector<std::vector<RectangleBatch>> sets;
  for (const auto& [tc, to] : std::vector<std::pair<std::int64_t, std::int64_t>>{{3, 1}, {1, 0}, {2, 3}, {1, 11}}) {
    const AttentionSpec spec{AttentionKind::rehyat, tc, to};
    sets.push_back(rectangle_batches(spec.kind->plan(spec, {slices, per_slice})));
  }
  return sets;
}

}  // namespace rehyat::ops
