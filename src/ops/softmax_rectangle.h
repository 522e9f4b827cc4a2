#pragma once

#include <ATen/ATen.h>

#include <tuple>

/// The dense rectangle of softmax attention that every fast form is made of.
namespace rehyat::ops {

struct AttentionMemory;

struct RectangleOutput {
  at::Tensor o;    ///< [B,A,M,D], q's dtype
  at::Tensor lse;  ///< [B,A,M], natural log, float32 (float64 for float64)
};

/// Softmax attention of q [B,A,M,D] over k, v [B,A,K,D], scores scaled by 1/sqrt(D). k and v may be overlapping views;
/// only the last dimension must be contiguous. On GPUs half types use cuDNN, on CPUs libtorch's flash kernel;
/// everything else a plain form that works on blocks of queries.
RectangleOutput softmax_rectangle(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

/// Softmax attention alone, differentiable, by the same kernels where they serve: libtorch's own choice on a Hopper GPU
/// is FlashAttention 2, half as fast as cuDNN there.
at::Tensor softmax_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v);

/// Whether softmax_rectangle serves these queries by a library's kernel, forward and backward.
bool has_softmax_kernel(const at::Tensor& q);

/// softmax_attention under gradients by softmax_rectangle and its backward, with the results of an earlier pass over
/// the same inputs where `memory` has them (ops/attention_memory.h). Without a kernel it is softmax_attention.
at::Tensor remembered_softmax_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                        AttentionMemory& memory);

/// Gradients for P = exp(s - lse): dv = P'dy, ds = P o (dy v' - rowsum(dy o out)), and dq, dk from ds. With out = o
/// this is the plain backward; hybrid attention passes its own output and log-denominator, which makes it the gradient
/// of the softmax branch under the joint normaliser.
std::tuple<at::Tensor, at::Tensor, at::Tensor> softmax_rectangle_backward(const at::Tensor& dy, const at::Tensor& q,
                                                                          const at::Tensor& k, const at::Tensor& v,
                                                                          const at::Tensor& out, const at::Tensor& lse);

}  // namespace rehyat::ops
