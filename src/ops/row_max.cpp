#include "ops/row_max.h"

#include <ATen/ATen.h>

#include <algorithm>
#include <cmath>

#include "ops/cuda/fused_row_max.h"

namespace rehyat::ops {
namespace {

constexpr std::int64_t kScoresAtOnce = 1 << 23, kKeysAtOnce = 4096;

/// out [X,A,M] of one batch of rectangles q [X,A,M,D], k [X,A,K,D].
void maxima_by_blocks(const at::Tensor& out, const at::Tensor& q, const at::Tensor& k) {
  const std::int64_t columns = std::min(kKeysAtOnce, k.size(2));
  const std::int64_t rows = std::clamp<std::int64_t>(kScoresAtOnce / (q.size(0) * q.size(1) * columns), 1, q.size(2));
  const double scale = 1 / std::sqrt(static_cast<double>(q.size(3)));
  for (std::int64_t at = 0; at < q.size(2); at += rows) {
    const std::int64_t count = std::min(rows, q.size(2) - at);
    const at::Tensor queries = q.narrow(2, at, count).to(out.scalar_type());
    at::Tensor best;
    for (std::int64_t key = 0; key < k.size(2); key += columns) {
      const at::Tensor keys = k.narrow(2, key, std::min(columns, k.size(2) - key)).to(out.scalar_type());
      const at::Tensor largest = at::matmul(queries, keys.transpose(-1, -2)).amax(-1);
      best = best.defined() ? at::maximum(best, largest) : largest;
    }
    out.narrow(2, at, count).copy_(best * scale);
  }
}

}  // namespace

at::Tensor row_maxima(const at::Tensor& q, const at::Tensor& k, const std::vector<RectangleBatch>& batches) {
  const at::NoGradGuard no_grad;
  const auto type = q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const at::Tensor out = at::empty(q.sizes().slice(0, 3), q.options().dtype(type));
  if (has_fused_row_max(q)) {
    fused_row_max(out, q, k, batches);
    return out;
  }
  for (const RectangleBatch& view : batches) {
    for (std::int64_t b = 0; b < q.size(0); ++b)
      maxima_by_blocks(view.query_values(out[b]), view.queries(q[b]), view.keys(k[b]));
  }
  return out;
}

at::Tensor row_maxima(const at::Tensor& q, const at::Tensor& k) {
  return row_maxima(q, k, {{0, q.size(2), 0, 0, k.size(2), 0, 1}});
}

}  // namespace rehyat::ops
