#pragma once

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <functional>
#include <vector>

namespace rehyat::models {

/// What a forward pass keeps of each block for its backward pass, where gradients are wanted. Gradients are the same
/// bit for bit: nothing in a block is random.
enum class Recompute {
  none,  ///< all that the backward pass needs
  full   ///< the block's inputs alone, from which it is run again (activation checkpointing): one more forward pass
};

/// A block as a function of its inputs. It may be called after the forward pass, and so holds what it uses by value.
using BlockFunction = std::function<at::Tensor(const std::vector<at::Tensor>& inputs)>;

/// Runs a block in which only `inputs` and the parameters of `module` can want gradients. What several blocks share,
/// such as the text, gets the gradient of each block in one piece, so that sums come in the same order whatever
/// `recompute` is.
at::Tensor run_block(const torch::nn::Module& module, Recompute recompute, const std::vector<at::Tensor>& inputs,
                     BlockFunction block);

}  // namespace rehyat::models
