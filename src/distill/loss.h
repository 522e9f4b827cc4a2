#pragma once

#include <ATen/ATen.h>

#include <string>

namespace rehyat::distill {

/// What distillation minimises between the student's and the teacher's attention output (paper, Eq. 19: l1).
enum class Loss { l1, mse, huber };

/// Mean over all elements, float32 or better, differentiable in `student`. Huber's threshold is 1. On a GPU in bfloat16
/// one kernel gives loss and gradient.
at::Tensor loss_of(Loss loss, const at::Tensor& student, const at::Tensor& teacher);
/// The same as libtorch's operators alone: what the kernel is compared with.
at::Tensor composed_loss(Loss loss, const at::Tensor& student, const at::Tensor& teacher);

/// sum |student - teacher| / sum |teacher|, in float64.
double relative_l1(const at::Tensor& student, const at::Tensor& teacher);

}  // namespace rehyat::distill
