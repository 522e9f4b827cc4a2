#include "core/error.h"
#include "core/strings.h"
#include "ops/attention_checks.h"
#include "ops/blend.h"
#include "ops/cuda/fused_branch.h"
#include "ops/cuda/readable.h"
#include "ops/hybrid_attention.h"
#include "ops/linear_state.h"
#include "ops/row_max.h"
#include "ops/softmax_rectangle.h"

namespace rehyat::ops {
namespace {

/// What the ring holds, then the chunk; laid out as the chunk, which the projections leave token by token.
at::Tensor followed_by(const at::Tensor& ring, const at::Tensor& chunk) {
  if (!ring.defined()) return chunk;
  if (!chunk.transpose(1, 2).is_contiguous()) return at::cat({ring, chunk}, 2);
  return at::cat({ring.transpose(1, 2), chunk.transpose(1, 2)}, 1).transpose(1, 2);
}

/// The last `tokens` of x, where there are so many, in the ring's own memory: a view of x would keep all of it alive.
void keep_last(at::Tensor& ring, const at::Tensor& x, std::int64_t tokens) {
  const std::int64_t count = std::min(tokens, x.size(2));
  if (count == 0) return;
  const at::Tensor rest = x.narrow(2, x.size(2) - count, count);
  // The window is never the ring itself: where there is a ring it is a copy, and of its full size from then on.
  if (ring.defined() && ring.size(2) == count)
    ring.copy_(rest);
  else
    ring = rest.transpose(1, 2).clone(at::MemoryFormat::Contiguous).transpose(1, 2);
}

std::int64_t bytes_of(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<std::int64_t>(tensor.nbytes()) : 0;
}

}  // namespace

RecurrentState::RecurrentState(const AttentionSpec& spec, std::int64_t tokens_per_slice, FeatureSign sign)
    : form_(require_recurrence(spec)), normalizer_(spec.normalizer), sign_(sign), tokens_per_slice_(tokens_per_slice) {
  require(tokens_per_slice >= 1,
          [&] { return cat("[recurrent_state] tokens_per_slice: found ", tokens_per_slice, ", expected at least 1"); });
}

void RecurrentState::check_chunk(const at::Tensor& q, const at::Tensor& phi_q) const {
  require(tokens_per_slice_ > 0,
          [] { return "[recurrent_state] found a state without settings, expected one made for an attention"; });
  const std::int64_t count = q.size(2) / tokens_per_slice_;
  require(q.size(2) % tokens_per_slice_ == 0 && count >= 1 && count <= form_.chunk, [&] {
    return cat("[recurrent_state] q: found ", q.size(2), " tokens, expected 1 to ", form_.chunk, " slices of ",
               tokens_per_slice_);
  });
  if (!sums_.defined()) return;
  const bool fits = sums_.size(0) == q.size(0) && sums_.size(1) == q.size(1) && sums_.size(2) == phi_q.size(3) &&
                    sums_.size(3) == state_columns(q);
  require(fits, [&] {
    return cat("[recurrent_state] found a chunk ", shape_string(q.sizes().vec()),
               ", expected the batch, heads and widths of the chunks before");
  });
}

at::Tensor RecurrentState::step(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q,
                                const KeyFeatures& phi_k, bool update) {
  const at::NoGradGuard no_grad;
  check_chunk_inputs(q, k, v, phi_q);
  check_chunk(q, phi_q);
  if (!sums_.defined()) {
    sums_ = at::zeros({q.size(0), q.size(1), phi_q.size(3), state_columns(v)},
                      q.options().dtype(q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat));
  }
  const at::Tensor keys = followed_by(ring_k_, k), values = followed_by(ring_v_, v);
  const RectangleOutput softmax = softmax_rectangle(q, keys, values);
  const std::int64_t ring_slices = ring_k_.defined() ? ring_k_.size(2) / tokens_per_slice_ : 0;
  const at::Tensor y = slices_seen_ > ring_slices ? blended(q, keys, phi_q, softmax) : softmax.o;
  if (update) take_in(keys, values, phi_k, q.size(2) / tokens_per_slice_);
  return y;
}

at::Tensor RecurrentState::blended(const at::Tensor& q, const at::Tensor& keys, const at::Tensor& phi_q,
                                   const RectangleOutput& softmax) const {
  const at::Tensor c = normalizer_ == Normalizer::row_max ? row_maxima(q, keys) : at::Tensor();
  BadRows bad(softmax.lse, normalizer_);
  at::Tensor y = at::empty_like(softmax.o);
  if (has_fused_branch(phi_q, softmax.o)) {  // the samples are its rectangles
    fused_query_side({readable(phi_q), readable(softmax.o), softmax.lse, c, sums_.transpose(0, 1)}, normalizer_,
                     {y, {}, {}, {}}, bad.counter());
  } else {
    const auto value = [&] { return at::empty_like(softmax.lse); };
    blend_into({y, value(), value(), value()}, softmax.o, softmax.lse, matmul_sums(phi_q, sums_), c, normalizer_, bad);
  }
  if (sign_ == FeatureSign::any) bad.check();
  return y;
}

/// `keys` and `values` are the ring's followed by the chunk's; what leaves the ring enters the sums (the intended form
/// of Eqs. 17-18).
void RecurrentState::take_in(const at::Tensor& keys, const at::Tensor& values, const KeyFeatures& phi_k,
                             std::int64_t slices) {
  const std::int64_t kept = form_.overlap * tokens_per_slice_, leaving = std::max<std::int64_t>(keys.size(2) - kept, 0);
  const at::Tensor inputs = phi_k.input.defined() ? followed_by(ring_input_, phi_k.input) : keys;
  require(inputs.dim() == 4 && inputs.size(2) == keys.size(2), [&] {
    return cat("[recurrent_state] input of phi_k: found ", shape_string(inputs.sizes().vec()), " for ", keys.size(2),
               " keys, expected it with every chunk of a video or with none");
  });
  if (leaving > 0) {
    const at::Tensor features = phi_k.map(inputs.narrow(2, 0, leaving));
    check_key_features(features, keys.narrow(2, 0, leaving), sums_.size(2));
    // Slice by slice: a product of few large tiles leaves most of a GPU idle.
    sums_ += slice_states(features, values.narrow(2, 0, leaving), leaving / tokens_per_slice_).sum(2);
  }
  keep_last(ring_k_, keys, kept);
  keep_last(ring_v_, values, kept);
  if (phi_k.input.defined()) keep_last(ring_input_, inputs, kept);
  slices_seen_ += slices;
}

std::int64_t RecurrentState::state_bytes() const {
  return bytes_of(sums_);
}
std::int64_t RecurrentState::ring_bytes() const {
  return bytes_of(ring_k_) + bytes_of(ring_v_) + bytes_of(ring_input_);
}

void RecurrentState::reset() {
  sums_ = ring_k_ = ring_v_ = ring_input_ = at::Tensor();
  slices_seen_ = 0;
}

at::Tensor hybrid_attention_by_chunks(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                      const at::Tensor& phi_q, const at::Tensor& phi_k, std::int64_t slices,
                                      const AttentionSpec& spec) {
  check_attention_inputs(q, k, v, phi_q, phi_k, slices, spec);
  const std::int64_t hw = q.size(2) / slices;
  RecurrentState state(spec, hw);
  std::vector<at::Tensor> outputs;
  for (const Chunk& chunk : chunks_of(slices, spec.recurrence()->chunk, 0)) {
    const auto rows = [&](const at::Tensor& x) {
      return x.narrow(2, chunk.queries.begin * hw, chunk.queries.size() * hw);
    };
    const KeyFeatures features{[](const at::Tensor& x) { return x; }, rows(phi_k)};
    outputs.push_back(state.step(rows(q), rows(k), rows(v), rows(phi_q), features));
  }
  return at::cat(outputs, 2);
}

}  // namespace rehyat::ops
