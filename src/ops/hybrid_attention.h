#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>

#include "ops/attention_memory.h"
#include "ops/attention_spec.h"
#include "ops/gradient_join.h"
#include "ops/softmax_rectangle.h"

/// Hybrid attention (paper, Eqs. 5-18) in three forms that compute the same function.
///
/// Shapes: B batch, A heads, N = slices * HW tokens, D head width, F feature width.
///   q, k [B,A,N,D] after RMSNorm and RoPE, v [B,A,N,D], phi_q, phi_k [B,A,N,F]; the result is [B,A,N,D] in q's dtype.
/// phi_q and phi_k may be undefined for kinds without a linear branch. S, z and the normaliser's sums are float32 at
/// least. They grow with the number of linear keys, z (a sum of positive numbers) faster than S: the products with them
/// are made safe by matmul_sums (ops/linear_state.h), so only phi itself has to fit its type (65504 for float16).
/// Throws UserError ("[hybrid_attention] phi_k: found ..., expected ...") on shapes, dtypes or devices that do not fit,
/// on `joint` with a negative normaliser, and where a denominator is 0.
namespace rehyat::ops {

/// Slow and literal: builds the whole score matrix, differentiable by autograd, any floating dtype. The judge of the
/// others. `frozen_max`: for row_max, a fixed c [B,A,N,1] to use in place of the row maximum (finite differences freeze
/// it).
at::Tensor hybrid_attention_reference(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                      const at::Tensor& phi_q, const at::Tensor& phi_k, std::int64_t slices,
                                      const AttentionSpec& spec, const at::Tensor& frozen_max = {});

/// The softmax branch of an attention: o [B,A,N,D], lse [B,A,N] and, for row_max, the row maxima [B,A,N]. Undefined for
/// kinds that do not have both branches.
struct SoftmaxBranch {
  at::Tensor o, lse, row_max;
  std::int64_t bytes() const;
};

/// It depends on q, k, v alone: where these are frozen (distillation) it is computed once. No gradients.
SoftmaxBranch softmax_branch(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, std::int64_t slices,
                             const AttentionSpec& spec);

/// What is known of phi. Features that are never negative make every denominator positive, so that it need not be asked
/// whether one is not: on a GPU the question makes the host wait.
enum class FeatureSign { any, never_negative };

struct JoinedPieces {
  std::shared_ptr<GradientPieces> q, k;
};

/// The form for training: dense rectangles of softmax attention plus GEMMs, with its own backward (spec, "Gradients on
/// fast kernels"). Works under autograd for q, k, v, phi_q and phi_k; computes only the gradients that are asked for.
/// `given`: what softmax_branch returned for these very q, k, v, which then must not want gradients. `memory`: of an
/// earlier pass over the same inputs, or for a later one. `joined`: where the gradients of q and k are left in pieces,
/// for inputs that joined_input made; may be null.
at::Tensor hybrid_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q,
                            const at::Tensor& phi_k, std::int64_t slices, const AttentionSpec& spec,
                            const SoftmaxBranch& given = {}, FeatureSign sign = FeatureSign::any,
                            AttentionMemory* memory = nullptr, const JoinedPieces& joined = {});

/// How a recurrent state gets phi_k of the keys that leave its ring, which is when they first matter to anyone.
struct KeyFeatures {
  /// [B,A,M,X] -> [B,A,M,F]; X = D where phi acts on the keys as attention sees them.
  std::function<at::Tensor(const at::Tensor&)> map;
  /// What `map` takes where that is not k itself (the keys before RoPE, or features made in advance): [B,A,M,X] beside
  /// k. The ring has to hold it too. Undefined: `map` takes k.
  at::Tensor input;
};

/// What an attention with a recurrent form remembers between chunks: S [B,A,F,D], z [B,A,F] in float32 (float64 for
/// float64 inputs) and a ring with K and V of the last `overlap` slices. Its size does not grow with the video. A copy
/// of one that has seen a chunk shares its tensors, which the next step changes.
class RecurrentState {
 public:
  RecurrentState() = default;
  /// `sign`: of phi_q and phi_k.
  explicit RecurrentState(const AttentionSpec& spec, std::int64_t tokens_per_slice,
                          FeatureSign sign = FeatureSign::any);

  /// One chunk: q, k, v [B,A,M,D], phi_q [B,A,M,F] with M = slices of the chunk * tokens_per_slice, the chunk having at
  /// most Recurrence::chunk slices. Returns y [B,A,M,D] and takes the chunk in. `update` = false computes y and leaves
  /// the state as it was (a denoising step that is not the last look at a chunk). Give each chunk of a video the same
  /// kind of KeyFeatures.
  at::Tensor step(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q,
                  const KeyFeatures& phi_k, bool update = true);

  std::int64_t slices_seen() const { return slices_seen_; }
  std::int64_t state_bytes() const;  ///< of S and z
  std::int64_t ring_bytes() const;   ///< of the overlap's keys and values, and of KeyFeatures::input where there is one
  void reset();

 private:
  void check_chunk(const at::Tensor& q, const at::Tensor& phi_q) const;
  at::Tensor blended(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& phi_q,
                     const RectangleOutput& softmax) const;
  void take_in(const at::Tensor& keys, const at::Tensor& values, const KeyFeatures& phi_k, std::int64_t slices);

  Recurrence form_;
  Normalizer normalizer_ = Normalizer::joint;
  FeatureSign sign_ = FeatureSign::any;
  std::int64_t tokens_per_slice_ = 0, slices_seen_ = 0;
  at::Tensor sums_;  ///< [S | z | 0], [B,A,F,C] with C = state_columns (ops/linear_state.h)
  at::Tensor ring_k_, ring_v_, ring_input_;
};

/// A whole video in the recurrent form: what each chunk finds of the past is a running sum, and all that does not wait
/// for it (the window of every chunk, the state of every slice) runs at once. `spec` must have a recurrent form. For
/// inference: no gradients.
at::Tensor hybrid_attention_recurrent(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                      const at::Tensor& phi_q, const at::Tensor& phi_k, std::int64_t slices,
                                      const AttentionSpec& spec, FeatureSign sign = FeatureSign::any);

/// The same numbers within rounding, one chunk after the other through a RecurrentState, as sampling chunk by chunk has
/// them.
at::Tensor hybrid_attention_by_chunks(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                      const at::Tensor& phi_q, const at::Tensor& phi_k, std::int64_t slices,
                                      const AttentionSpec& spec);

}  // namespace rehyat::ops
