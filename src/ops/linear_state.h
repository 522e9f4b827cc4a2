#pragma once

#include <ATen/ATen.h>

namespace rehyat::ops {

/// a b with the result in float32 (float64 for float64), whatever the operands' type; batched as at::matmul.
at::Tensor matmul_wide(const at::Tensor& a, const at::Tensor& b);

/// a b in float32 for rows `a` in a compute type and wide sums `b` [..., K, N] (S and z, or their gradients), which the
/// product takes in a's type. Sums over a long video leave float16's range (65504), and their columns differ by orders
/// of magnitude (z sums positive numbers, S signed ones), so for float16 each column is brought into range by a power
/// of two, undone in the result: what is below 2^-29 of its column's largest value loses bits, nothing overflows.
/// bfloat16 has float32's range; rounding b to it changes a / n by less than rounding y to bfloat16 does
/// (LinearState.RoundingOfTheSums measures it).
at::Tensor matmul_sums(const at::Tensor& a, const at::Tensor& b);

/// Columns C of [S | z] for values like v [...,D]: D + 1, and on a GPU in a half type the next multiple of 8, because
/// the products of other widths take none of the fast kernels. Columns from D + 1 on are 0.
std::int64_t state_columns(const at::Tensor& v);

/// [v | 1 | 0] of state_columns(v): z becomes one more column of S, so that one product gives S and z.
at::Tensor with_ones(const at::Tensor& v);

/// phi_k' [v | 1 | 0] over each slice: phi_k [B,A,N,F], v [B,A,N,D] -> [B,A,slices,F,C], float32 or float64.
at::Tensor slice_states(const at::Tensor& phi_k, const at::Tensor& v, std::int64_t slices);

}  // namespace rehyat::ops
