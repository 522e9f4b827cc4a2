#pragma once

#include <ATen/core/Tensor.h>

#include <optional>

#include "ops/blend.h"

/// Hybrid attention's linear branch in bfloat16 on a GPU as few kernels that read and write each row once; a stub where
/// the build has no CUDA. X rectangles (or slices) of M rows, A heads, D head width, F features, C = D + 8 columns of a
/// state [S | z | 0].
namespace rehyat::ops {

/// Whether the kernels are built and serve features phi [..,F] beside values v [..,D]: both bfloat16 on a GPU, of the
/// sizes that the kernels are compiled for.
bool has_fused_branch(const at::Tensor& phi, const at::Tensor& v);

/// The state of each of `slices` equal slices, [B,A,slices,F,C] in float32; phi [B,A,N,F], v [B,A,N,D].
at::Tensor fused_states(const at::Tensor& phi, const at::Tensor& v, std::int64_t slices);

/// Rows of one sample's rectangles: phi [X,A,M,F], o [X,A,M,D], lse and row_max [X,A,M], states [A,X,F,C]. Views whose
/// rows are readable (cuda/readable.h). o and lse are undefined without a softmax branch, row_max for other
/// normalizers.
struct QuerySide {
  at::Tensor phi, o, lse, row_max, states;
};

/// blend_into of o and phi [S | z], or a / n without a normalizer. `out` has views of the same rows; those that are
/// undefined are not written. Bad rows (ops/blend.h; without a normalizer those with n = 0) are counted in `bad_rows`.
void fused_query_side(const QuerySide& in, std::optional<Normalizer> normalizer, const BlendTargets& out,
                      const at::Tensor& bad_rows);

/// What the queries' gradients are made of: dy, y [X,A,M,D], log_z, scale [X,A,M] (either may be undefined), states
/// [A,X,F,C].
struct QueryUpstream {
  at::Tensor dy, y, log_z, scale, states;
};

/// weighted [X,A,M,C] = w [dy | -(y . dy) | 0] (see LinearUpstream), and d_phi [X,A,M,F] = weighted [S | z]' where it
/// is defined; both bfloat16 and written in place.
void fused_query_gradients(const QueryUpstream& in, const at::Tensor& weighted, const at::Tensor& d_phi);

/// d_states [A,X,F,C] in float32, written in place: phi' weighted of each rectangle.
void fused_state_gradients(const at::Tensor& d_states, const at::Tensor& phi, const at::Tensor& weighted);

/// d_phi [X,A,M,F] = [v | 1] dS' and, where it is defined, d_v [X,A,M,D] = phi dS, written in place; d_states
/// [A,X,F,C].
void fused_key_gradients(const at::Tensor& phi, const at::Tensor& v, const at::Tensor& d_states,
                         const at::Tensor& d_phi, const at::Tensor& d_v);

}  // namespace rehyat::ops
