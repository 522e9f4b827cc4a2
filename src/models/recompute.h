#pragma once

#include <ATen/ATen.h>
#include <torch/nn/module.h>

#include <functional>
#include <vector>

#include "models/recompute_policy.h"
#include "ops/attention_memory.h"

namespace rehyat::models {

/// A block as a function of its inputs; its self-attention takes `memory`, which may be null. It may be called after
/// the forward pass, and so holds what it uses by value.
using BlockFunction = std::function<at::Tensor(const std::vector<at::Tensor>& inputs, ops::AttentionMemory* memory)>;

/// Runs a block (activation checkpointing where `recompute` says so) in which only `inputs` and the parameters of
/// `module` can want gradients. What several blocks share, such as the text, gets the gradient of each block in one
/// piece, so that sums come in the same order whatever `recompute` is.
at::Tensor run_block(const torch::nn::Module& module, Recompute recompute, const std::vector<at::Tensor>& inputs,
                     BlockFunction block);

}  // namespace rehyat::models
