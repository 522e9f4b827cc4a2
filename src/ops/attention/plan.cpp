#include "ops/attention/plan.h"

#include <algorithm>

namespace rehyat::ops {
namespace {

at::Tensor rectangles(const at::Tensor& x, std::int64_t begin, std::int64_t rows, std::int64_t stride,
                      std::int64_t count) {
  return x.as_strided({count, x.size(0), rows, x.size(2)},
                      {stride * x.stride(1), x.stride(0), x.stride(1), x.stride(2)},
                      x.storage_offset() + begin * x.stride(1));
}

}  // namespace

bool Plan::everything() const {
  return parts.size() == 1 && parts[0].k_count == softmax_keys.count && !softmax_keys.numbers && !linear(parts[0]);
}

KeyPairs count_pairs(const Plan& plan) {
  KeyPairs pairs;
  const std::int64_t slice = plan.linear_keys.count / plan.linear_slices;
  for (const Part& part : plan.parts) {
    const std::int64_t slices = part.before + std::max<std::int64_t>(plan.linear_slices - part.after, 0);
    pairs.softmax += static_cast<double>(part.q_count) * static_cast<double>(part.k_count);
    pairs.linear_keys += static_cast<double>(slices * slice);
  }
  if (pairs.linear_keys > 0) pairs.linear_keys_once = static_cast<double>(plan.linear_keys.count);
  return pairs;
}

at::Tensor RectangleBatch::queries(const at::Tensor& x) const {
  return rectangles(x, q_begin, q_rows, q_stride, count);
}
at::Tensor RectangleBatch::keys(const at::Tensor& x) const {
  return rectangles(x, k_begin, k_rows, k_stride, count);
}
at::Tensor RectangleBatch::query_values(const at::Tensor& x) const {
  return queries(x.unsqueeze(-1)).squeeze(-1);
}

std::vector<RectangleBatch> rectangle_batches(const Plan& plan) {
  std::vector<RectangleBatch> batches;
  for (const Part& part : plan.parts) {
    if (!batches.empty()) {
      RectangleBatch& last = batches.back();
      const std::int64_t q_step = part.q_begin - last.q_begin, k_step = part.k_begin - last.k_begin;
      // A view has no negative strides.
      const bool alike = part.q_count == last.q_rows && part.k_count == last.k_rows && q_step > 0 && k_step >= 0;
      if (alike && last.count == 1) {
        last.q_stride = q_step;
        last.k_stride = k_step;
      }
      if (alike && q_step == last.count * last.q_stride && k_step == last.count * last.k_stride) {
        ++last.count;
        continue;
      }
    }
    batches.push_back({part.q_begin, part.q_count, 0, part.k_begin, part.k_count, 0, 1});
  }
  return batches;
}

}  // namespace rehyat::ops
