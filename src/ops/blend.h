#pragma once

#include <ATen/ATen.h>

#include <optional>

#include "ops/attention_spec.h"

namespace rehyat::ops {

/// Where the results of rows go: views [B,A,M,D] and [B,A,M], written in place.
struct BlendTargets {
  at::Tensor y;  ///< the attention's output, in o's type
  at::Tensor
      log_l;  ///< what the softmax branch's backward takes for lse: log Z (joint), c + log|Z| (row_max), lse (lse)
  at::Tensor
      log_z;  ///< row_max: log |Z|, whose w = 1/Z weights the linear branch; for joint it is log_l, for lse unused
  at::Tensor scale;  ///< row_max: sign of Z, undefined where it is known to be 1; lse: 1/(1 + n); unused for joint
};

/// Counts the rows whose denominator is not allowed, over all calls of one attention: on a GPU asking costs a
/// synchronisation, so it is asked once.
class BadRows {
 public:
  /// `like` [B,A,N]. Without a normalizer there is no softmax branch, and rows with n = 0 are bad.
  BadRows(const at::Tensor& like, std::optional<Normalizer> normalizer);
  void add(const at::Tensor& rows);  ///< a count, or a mask of such rows
  const at::Tensor& counter() const { return count_; }
  /// Throws UserError on n < 0 with joint and on a denominator of 0 otherwise.
  void check() const;

 private:
  std::optional<Normalizer> normalizer_;
  std::int64_t rows_;
  at::Tensor count_;  ///< int32, on the rows' device
};

/// y from the softmax branch (o [B,A,M,D], lse [B,A,M]) and the linear one (`sums` [B,A,M,C] = a | n | unused, C > D),
/// Eqs. 5-9. `row_max` [B,A,M] is c of that normalizer and undefined for the others. Where n = 0 y is o exactly. lse,
/// sums and row_max in float32 or float64; all but `sums` may be rows of a larger tensor.
void blend_into(const BlendTargets& out, const at::Tensor& o, const at::Tensor& lse, const at::Tensor& sums,
                const at::Tensor& row_max, Normalizer normalizer, BadRows& bad);

/// a / n of `sums` [...,C] = a | n | unused, a of D columns; throws UserError where n = 0.
at::Tensor linear_only(const at::Tensor& sums, std::int64_t width);

}  // namespace rehyat::ops
