#pragma once

#include <ATen/core/Tensor.h>

namespace rehyat::ops {

/// What an attention has computed: its output, and what its backward pass needs beside its inputs. A pass that is given
/// an empty one leaves its results here; the next pass, over the same inputs, takes them instead of computing them
/// again, and empties it.
struct AttentionMemory {
  at::Tensor y;                       ///< [B,A,N,D]
  at::Tensor o, log_l, log_z, scale;  ///< as BlendTargets (ops/blend.h) has them, where the kind needs them
  at::Tensor states;                  ///< S and z of each part

  bool empty() const { return !y.defined(); }
  /// The same numbers without the graph that made them.
  AttentionMemory detached() const;
};

}  // namespace rehyat::ops
