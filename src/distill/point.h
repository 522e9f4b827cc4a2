#pragma once

#include <ATen/core/Tensor.h>

#include <cstdint>

#include "models/attention/self_attention.h"

namespace rehyat::distill {

/// The attention that is distilled: the teacher's projections and new feature maps.
struct Student {
  std::int64_t block = 0;  ///< its number in the teacher
  models::SelfAttention attention{nullptr};
  ops::RopeTables rope;     ///< of the video's tokens
  std::int64_t slices = 0;  ///< of tokens: a model with a temporal patch has fewer than the latent
};

/// A point as a step takes it: all that does not depend on the feature maps, on the student's device. B is 1.
struct Point {
  models::Heads heads;
  at::Tensor target;  ///< the teacher's attention output before the output projection, [B,N,dim]
  ops::SoftmaxBranch softmax;

  std::int64_t bytes() const;
};

/// `input` [N,dim], the teacher's own input to that attention, is brought to `compute`. Where `target` [N,dim] or
/// `softmax` is undefined it is computed.
Point make_point(const Student& student, at::ScalarType compute, const at::Tensor& input, const at::Tensor& target = {},
                 const ops::SoftmaxBranch& softmax = {});

/// What the student makes of a point, [B,N,dim]. Differentiable in the feature maps. With loss_of (distill/loss.h) it
/// is all that a step does before its backward pass.
at::Tensor answer(const Student& student, const Point& point);

}  // namespace rehyat::distill
