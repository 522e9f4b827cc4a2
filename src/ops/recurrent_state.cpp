#include "core/error.h"
#include "core/strings.h"
#include "ops/attention_checks.h"
#include "ops/blend.h"
#include "ops/hybrid_attention.h"
#include "ops/linear_state.h"
#include "ops/softmax_rectangle.h"

namespace rehyat::ops {
namespace {

/// What the ring holds, then the chunk.
at::Tensor followed_by(const at::Tensor& ring, const at::Tensor& chunk) {
  return ring.defined() ? at::cat({ring, chunk}, 2) : chunk;
}

std::int64_t bytes_of(const at::Tensor& tensor) {
  return tensor.defined() ? static_cast<std::int64_t>(tensor.nbytes()) : 0;
}

}  // namespace

RecurrentState::RecurrentState(const AttentionSpec& spec, std::int64_t tokens_per_slice)
    : normalizer_(spec.normalizer), tokens_per_slice_(tokens_per_slice) {
  const std::optional<Recurrence> form = spec.recurrence();
  require(form.has_value(), [&] {
    return cat("[recurrent_state] found ", to_string(spec), ", which has no recurrent form, expected ",
               recurrent_kinds(), " attention");
  });
  form_ = *form;
  require(tokens_per_slice >= 1,
          [&] { return cat("[recurrent_state] tokens_per_slice: found ", tokens_per_slice, ", expected at least 1"); });
}

at::Tensor RecurrentState::step(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v, const at::Tensor& phi_q,
                                const KeyFeatures& phi_k, bool update) {
  const at::NoGradGuard no_grad;
  require(tokens_per_slice_ > 0,
          [] { return "[recurrent_state] found a state without settings, expected one made for an attention"; });
  check_chunk_inputs(q, k, v, phi_q);
  const std::int64_t count = q.size(2) / tokens_per_slice_;
  require(q.size(2) % tokens_per_slice_ == 0 && count >= 1 && count <= form_.chunk, [&] {
    return cat("[recurrent_state] q: found ", q.size(2), " tokens, expected 1 to ", form_.chunk, " slices of ",
               tokens_per_slice_);
  });
  const auto type = q.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
  const std::int64_t width = q.size(3), features = phi_q.size(3);
  if (!s_.defined()) {
    s_ = at::zeros({q.size(0), q.size(1), features, width}, q.options().dtype(type));
    z_ = at::zeros({q.size(0), q.size(1), features}, q.options().dtype(type));
  }
  require(s_.size(0) == q.size(0) && s_.size(1) == q.size(1) && s_.size(2) == features && s_.size(3) == width, [&] {
    return cat("[recurrent_state] found a chunk ", shape_string(q.sizes().vec()),
               ", expected the batch, heads and widths of the chunks before");
  });
  const at::Tensor keys = followed_by(ring_k_, k), values = followed_by(ring_v_, v);
  const RectangleOutput softmax = softmax_rectangle(q, keys, values);
  const std::int64_t ring_slices = ring_k_.defined() ? ring_k_.size(2) / tokens_per_slice_ : 0;
  at::Tensor y = softmax.o;
  if (slices_seen_ > ring_slices) {
    const at::Tensor sums = matmul_sums(phi_q, joined_state(s_, z_, state_columns(v)));
    const at::Tensor c = normalizer_ == Normalizer::row_max ? softmax_row_max(q, keys) : at::Tensor();
    const at::Tensor& o = softmax.o;
    y = at::empty_like(o);
    const auto value = [&] { return at::empty_like(softmax.lse); };
    BadRows bad(softmax.lse, normalizer_);
    blend_into({y, value(), value(), value()}, o, softmax.lse, sums, c, normalizer_, bad);
    bad.check();
  }
  if (update) take_in(keys, values, phi_k, count);
  return y;
}

/// `keys` and `values` are the ring's followed by the chunk's; what leaves the ring enters the sums (the intended form
/// of Eqs. 17-18).
void RecurrentState::take_in(const at::Tensor& keys, const at::Tensor& values, const KeyFeatures& phi_k,
                             std::int64_t slices) {
  const std::int64_t width = values.size(3),
                     leaving = std::max<std::int64_t>(keys.size(2) - form_.overlap * tokens_per_slice_, 0);
  const at::Tensor inputs = phi_k.input.defined() ? followed_by(ring_input_, phi_k.input) : keys;
  require(inputs.dim() == 4 && inputs.size(2) == keys.size(2), [&] {
    return cat("[recurrent_state] input of phi_k: found ", shape_string(inputs.sizes().vec()), " for ", keys.size(2),
               " keys, expected it with every chunk of a video or with none");
  });
  if (leaving > 0) {
    const at::Tensor features = phi_k.map(inputs.narrow(2, 0, leaving));
    check_key_features(features, keys.narrow(2, 0, leaving), s_.size(2));
    const at::Tensor grown = slice_states(features, values.narrow(2, 0, leaving), 1).squeeze(2);
    s_ += grown.narrow(-1, 0, width);
    z_ += grown.select(-1, width);
  }
  const auto rest_of = [&](const at::Tensor& x) {
    const at::Tensor rest = x.narrow(2, leaving, x.size(2) - leaving);
    return rest.size(2) > 0 ? rest.clone(at::MemoryFormat::Contiguous) : at::Tensor();  // a view keeps the chunk alive
  };
  ring_k_ = rest_of(keys);
  ring_v_ = rest_of(values);
  if (phi_k.input.defined()) ring_input_ = rest_of(inputs);
  slices_seen_ += slices;
}

std::int64_t RecurrentState::state_bytes() const {
  return bytes_of(s_) + bytes_of(z_);
}
std::int64_t RecurrentState::ring_bytes() const {
  return bytes_of(ring_k_) + bytes_of(ring_v_) + bytes_of(ring_input_);
}

void RecurrentState::reset() {
  s_ = z_ = ring_k_ = ring_v_ = ring_input_ = at::Tensor();
  slices_seen_ = 0;
}

at::Tensor hybrid_attention_recurrent(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
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
