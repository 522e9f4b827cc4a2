#include "diffusion/unipc.h"

#include <algorithm>

#include "core/error.h"
#include "core/strings.h"
#include "tensor/wide.h"

namespace rehyat::diffusion {
namespace {

// Transcendental functions of float32 by libtorch, as the reference takes them.
float log_of(float x) {
  return at::scalar_tensor(x, at::kFloat).log().item<float>();
}
float expm1_of(float x) {
  return at::scalar_tensor(x, at::kFloat).expm1().item<float>();
}

}  // namespace

float UniPC::level(std::int64_t i) const {
  return static_cast<float>(sigma(i));
}

float UniPC::lambda(std::int64_t i) const {
  return log_of(1 - level(i)) - log_of(level(i));
}

at::Tensor UniPC::predict(std::int64_t i, const at::Tensor& x, std::int64_t order) const {
  const float next = level(i + 1), now = level(i), alpha = 1 - next;
  if (next == 0) return now_;  // h is infinite: the step goes to the data estimate itself
  const float h = lambda(i + 1) - lambda(i);
  const float scale = alpha * expm1_of(-h);  // data prediction works with -h; B(-h) is the same number
  at::Tensor y = (next / now) * x - scale * now_;
  if (order == 2) {
    const float ratio = (lambda(i - 1) - lambda(i)) / h;
    y = y - scale * (0.5F * ((before_ - now_) / ratio));  // rho = 1/2 at second order
  }
  return y;
}

at::Tensor UniPC::correct(std::int64_t i, const at::Tensor& x0) const {
  const float now = level(i), last = level(i - 1), alpha = 1 - now;
  const float h = lambda(i) - lambda(i - 1), hh = -h;
  const float b = expm1_of(hh);
  const at::Tensor fresh = x0 - now_;
  at::Tensor correction;
  if (order_ == 1) {
    correction = 0.5F * fresh;
  } else {
    // [1 1; r 1] rho = [b1; b2] for the older difference and the fresh one.
    const float ratio = (lambda(i - 2) - lambda(i - 1)) / h;
    const float phi2 = b / hh - 1, phi3 = phi2 / hh - 0.5F;
    const at::Tensor rho =
        at::linalg_solve(at::tensor({1.0F, 1.0F, ratio, 1.0F}).view({2, 2}), at::tensor({phi2 / b, phi3 * 2 / b}));
    correction = rho[0].item<float>() * ((before_ - now_) / ratio) + rho[1].item<float>() * fresh;
  }
  return (now / last) * last_x_ - (alpha * b) * now_ - (alpha * b) * correction;
}

at::Tensor UniPC::step(std::int64_t i, const at::Tensor& velocity, const at::Tensor& x,
                       const std::function<at::Tensor()>&) {
  require(i == 0 || i == expected_, [&] {
    return cat("[unipc] found step ", i, ", expected step ", expected_, "; steps must be taken in order");
  });
  const at::ScalarType type = wide_type(x);
  at::Tensor sample = x.to(type);
  const at::Tensor x0 = sample - sigma(i) * velocity.to(type);  // with the sample as it was before correction
  if (i == 0) {
    order_ = 1;
    before_ = now_ = at::Tensor();
  } else {
    sample = correct(i, x0);
  }
  before_ = now_;
  now_ = x0;
  const std::int64_t left = steps() - i;
  order_ = std::min<std::int64_t>({2, left, i + 1});
  last_x_ = sample;
  expected_ = i + 1;
  return predict(i, sample, order_);
}

}  // namespace rehyat::diffusion
