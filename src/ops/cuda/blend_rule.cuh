#pragma once

#include <cmath>

#include "ops/cuda/blend_kernel.h"

/// How one row's branches are weighed (ops/blend.h says what is computed).
namespace rehyat::ops::cuda {

/// y = soft * o + linear * (a / divisor): a is divided first, since 1 / n overflows where n is denormal.
struct Weights {
  float soft, linear, divisor, log_l, log_z, scale;
  bool bad;
};

__device__ inline Weights weigh(BlendRule rule, float lse, float n, float c) {
  Weights w{1, 1, 1, lse, lse, 1, false};
  if (rule == BlendRule::joint) {
    w.bad = n < 0;
    if (n != 0) {  // NaN included, which must stay NaN
      const float log_n = logf(n), gap = log_n - lse;
      w.soft = 1 / (1 + expf(gap));
      w.linear = 1 / (1 + expf(-gap));
      w.divisor = n;
      w.log_l = w.log_z = fmaxf(lse, log_n) + log1pf(expf(-fabsf(gap)));
    }
    return w;
  }
  if (rule == BlendRule::linear) {
    w.soft = 0;
    w.divisor = n;
    w.log_l = w.log_z = logf(fabsf(n));
    w.scale = n < 0 ? -1.0f : 1.0f;
    w.bad = n == 0;
    return w;
  }
  const float mass = rule == BlendRule::lse ? 1.0f : expf(lse - c), z = mass + n;
  w.bad = z == 0;
  w.soft = mass / z;
  w.divisor = z;
  if (rule == BlendRule::lse) {
    w.scale = 1 / z;
    return w;
  }
  w.log_z = logf(fabsf(z));
  w.log_l = c + w.log_z;
  w.scale = z < 0 ? -1.0f : 1.0f;
  return w;
}

}  // namespace rehyat::ops::cuda
