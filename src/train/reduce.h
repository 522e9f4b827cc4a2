#pragma once

#include <ATen/ATen.h>

#include <vector>

#include "comm/communicator.h"
#include "train/task.h"

namespace rehyat::train {

/// Sums the gradients and the loss over the ranks, in place, in buckets of about 25 MB. A parameter without a gradient
/// on some rank counts as 0 there.
void reduce_gradients(const std::vector<NamedParameter>& parameters, at::Tensor& loss, const comm::Communicator& world);

/// Euclidean norm over all gradients, one value in float64.
at::Tensor gradient_norm(const std::vector<NamedParameter>& parameters);

void scale_gradients(const std::vector<NamedParameter>& parameters, double factor);

}  // namespace rehyat::train
