#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "ops/attention_memory.h"
#include "ops/softmax_rectangle.h"

namespace rehyat::ops {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

/// Softmax attention whose output and logarithms may be known from an earlier pass.
class SoftmaxFunction : public torch::autograd::Function<SoftmaxFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                            AttentionMemory* memory) {
    AttentionMemory found;
    if (memory->empty()) {
      const RectangleOutput result = softmax_rectangle(q, k, v);
      found.y = result.o;
      found.log_l = result.lse;
      *memory = found.detached();
    } else {
      found = std::exchange(*memory, {});
    }
    ctx->save_for_backward({q, k, v, found.y, found.log_l});
    return found.y;
  }

  static variable_list backward(AutogradContext* ctx, variable_list upstream) {
    const variable_list saved = ctx->get_saved_variables();
    const auto [dq, dk, dv] = softmax_rectangle_backward(upstream[0], saved[0], saved[1], saved[2], saved[3], saved[4]);
    return {dq, dk, dv, Variable()};
  }
};

}  // namespace

AttentionMemory AttentionMemory::detached() const {
  const auto cut = [](const at::Tensor& x) { return x.defined() ? x.detach() : x; };
  return {cut(y), cut(o), cut(log_l), cut(log_z), cut(scale), cut(states)};
}

at::Tensor remembered_softmax_attention(const at::Tensor& q, const at::Tensor& k, const at::Tensor& v,
                                        AttentionMemory& memory) {
  if (!has_softmax_kernel(q)) return softmax_attention(q, k, v);
  return SoftmaxFunction::apply(q, k, v, &memory);
}

}  // namespace rehyat::ops
