#include "models/recompute.h"

#include <torch/csrc/autograd/autograd.h>
#include <torch/csrc/autograd/custom_function.h>

#include <utility>

#include "core/strings.h"

namespace rehyat::models {
namespace {

using torch::autograd::AutogradContext;
using torch::autograd::Variable;
using torch::autograd::variable_list;

struct BlockHolder : torch::CustomClassHolder {
  BlockFunction block;
  variable_list parameters;
  bool remembers;  ///< what its self-attention has computed
  ops::AttentionMemory memory;

  BlockHolder(BlockFunction f, variable_list p, bool remember)
      : block(std::move(f)), parameters(std::move(p)), remembers(remember) {}
  at::Tensor run(const variable_list& inputs) { return block(inputs, remembers ? &memory : nullptr); }
};

/// The same numbers as the beginnings of a graph of their own.
variable_list cut_off(const variable_list& inputs) {
  variable_list out;
  for (const at::Tensor& x : inputs) out.push_back(x.detach().set_requires_grad(x.requires_grad()));
  return out;
}

/// Inputs: those of the block, then its parameters.
class RecomputeFunction : public torch::autograd::Function<RecomputeFunction> {
 public:
  static at::Tensor forward(AutogradContext* ctx, at::TensorList tensors,
                            const c10::intrusive_ptr<BlockHolder>& holder) {
    const auto count = tensors.size() - holder->parameters.size();
    const variable_list inputs = tensors.slice(0, count).vec();
    ctx->save_for_backward(inputs);
    ctx->saved_data["block"] = c10::IValue::make_capsule(holder);
    // Under gradients, so that the kernels are those of the backward pass; the graph is dropped at once.
    const at::AutoGradMode with_gradients(true);
    return holder->run(cut_off(inputs)).detach();
  }

  static variable_list backward(AutogradContext* ctx, variable_list upstream) {
    const auto capsule = ctx->saved_data["block"].toCapsule();
    auto& holder = static_cast<BlockHolder&>(*capsule);
    const variable_list inputs = cut_off(ctx->get_saved_variables());
    variable_list all = inputs, wanted;
    all.insert(all.end(), holder.parameters.begin(), holder.parameters.end());
    for (std::size_t i = 0; i < all.size(); ++i) {
      if (ctx->needs_input_grad(i)) wanted.push_back(all[i]);
    }
    variable_list found;
    {
      const at::AutoGradMode with_gradients(true);
      const at::Tensor y = holder.run(inputs);
      found = torch::autograd::grad({y}, wanted, upstream, std::nullopt, false, true);
    }
    variable_list out;
    auto next = found.begin();
    for (std::size_t i = 0; i < all.size(); ++i) out.push_back(ctx->needs_input_grad(i) ? *next++ : Variable());
    out.emplace_back();  // the holder
    return out;
  }
};

}  // namespace

std::string to_string(Recompute policy) {
  if (policy == Recompute::none) return "none";
  return policy == Recompute::full ? "full" : "selective";
}

std::string to_string(const RecomputePlan& plan) {
  if (plan.last_blocks == 0 || plan.first == plan.last) return to_string(plan.first);
  return cat(to_string(plan.first), ", ", to_string(plan.last), " in the last ", plan.last_blocks,
             plan.last_blocks == 1 ? " block" : " blocks");
}

at::Tensor run_block(const torch::nn::Module& module, Recompute recompute, const std::vector<at::Tensor>& inputs,
                     BlockFunction block) {
  if (!at::GradMode::is_enabled()) return block(inputs, nullptr);
  variable_list tensors;
  if (recompute == Recompute::none) {
    for (const at::Tensor& x : inputs) tensors.push_back(x.requires_grad() ? at::alias(x) : x);
    return block(tensors, nullptr);
  }
  tensors = inputs;
  const variable_list parameters = module.parameters();
  tensors.insert(tensors.end(), parameters.begin(), parameters.end());
  const at::TensorList list = tensors;
  return RecomputeFunction::apply(
      list, c10::make_intrusive<BlockHolder>(std::move(block), parameters, recompute == Recompute::selective));
}

}  // namespace rehyat::models
