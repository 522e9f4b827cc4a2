#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>
#include <functional>
#include <limits>
#include <vector>

#include "ops/attention/kind.h"

namespace rehyat::ops {

/// The keys of the video that a branch has, in its order.
struct KeyList {
  std::int64_t count = 0;
  /// Their numbers, int64 [count] on the given device, without waiting for it. Not set: all keys as they are.
  std::function<at::Tensor(at::Device)> numbers;
  /// The same rows of x [B,A,N,X] without numbers, as a view or by one copy, where the list is so regular. May be
  /// unset.
  std::function<at::Tensor(const at::Tensor&)> rows;
};

/// The queries [q_begin, q_begin + q_count) see the softmax keys [k_begin, k_begin + k_count) of their list and, by
/// phi, the slices of linear keys before `before` and from `after` on.
struct Part {
  std::int64_t q_begin = 0, q_count = 0, k_begin = 0, k_count = 0;
  std::int64_t before = 0, after = std::numeric_limits<std::int64_t>::max();
};

/// The pattern of an attention as dense rectangles: the parts follow each other and have every query once.
struct Plan {
  explicit Plan(const TokenGrid& grid)
      : softmax_keys{grid.tokens(), {}, {}}, linear_keys{grid.tokens(), {}, {}}, linear_slices(grid.slices) {}

  std::vector<Part> parts;
  KeyList softmax_keys, linear_keys;
  std::int64_t linear_slices;  ///< equal slices that the linear keys are cut into

  bool linear(const Part& part) const { return part.before > 0 || part.after < linear_slices; }
  /// One rectangle of all queries and all keys.
  bool everything() const;
};

/// Query-key pairs of the softmax branch, and linear keys, over all heads alike.
struct KeyPairs {
  double softmax = 0;
  double linear_keys = 0;       ///< summed over the parts: the state is made anew for each
  double linear_keys_once = 0;  ///< every linear key taken into a state once
};
KeyPairs count_pairs(const Plan& plan);

/// Equal rectangles that follow each other at a constant stride run as one batch. Views of a tensor [A,N,D] of one
/// sample; nothing is copied.
struct RectangleBatch {
  std::int64_t q_begin = 0, q_rows = 0, q_stride = 0, k_begin = 0, k_rows = 0, k_stride = 0, count = 1;

  /// [count,A,rows,D]; those of keys may overlap.
  at::Tensor queries(const at::Tensor& x) const;
  at::Tensor keys(const at::Tensor& x) const;
  /// The same for one value a query, x [A,N] -> [count,A,rows].
  at::Tensor query_values(const at::Tensor& x) const;
};
std::vector<RectangleBatch> rectangle_batches(const Plan& plan);

}  // namespace rehyat::ops
