#include "diffusion/unipc.h"

#include <algorithm>
#include <cmath>

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::diffusion {

double UniPC::lambda(std::int64_t i) const {
  return std::log(1 - sigma(i)) - std::log(sigma(i));
}

at::Tensor UniPC::predict(std::int64_t i, const at::Tensor& x, std::int64_t order) const {
  const double next = sigma(i + 1), now = sigma(i);
  if (next == 0) return now_;  // h is infinite: the step goes to the data estimate itself
  const double h = lambda(i + 1) - lambda(i);
  const double phi1 = std::expm1(-h);  // data prediction works with -h; B(-h) is the same number
  at::Tensor y = (next / now) * x - (1 - next) * phi1 * now_;
  if (order == 2) {
    const double ratio = (lambda(i - 1) - lambda(i)) / h;
    const at::Tensor slope = (before_ - now_) / ratio;
    y = y - (1 - next) * phi1 * 0.5 * slope;  // rho = 1/2 at second order
  }
  return y;
}

at::Tensor UniPC::correct(std::int64_t i, const at::Tensor& x0) const {
  const double now = sigma(i), last = sigma(i - 1);
  const double h = lambda(i) - lambda(i - 1), hh = -h;
  const double b = std::expm1(hh), phi1 = b;
  const at::Tensor fresh = x0 - now_;
  at::Tensor correction;
  if (order_ == 1) {
    correction = 0.5 * fresh;
  } else {
    // Solve [1 1; r 1] rho = [b1; b2] for the older difference and the fresh one.
    const double ratio = (lambda(i - 2) - lambda(i - 1)) / h;
    const double phi2 = phi1 / hh - 1, phi3 = phi2 / hh - 0.5;
    const double b1 = phi2 / b, b2 = phi3 * 2 / b;
    const double rho_old = (b1 - b2) / (1 - ratio), rho_fresh = b1 - rho_old;
    correction = rho_old * ((before_ - now_) / ratio) + rho_fresh * fresh;
  }
  return (now / last) * last_x_ - (1 - now) * phi1 * now_ - (1 - now) * b * correction;
}

at::Tensor UniPC::step(std::int64_t i, const at::Tensor& velocity, const at::Tensor& x,
                       const std::function<at::Tensor()>&) {
  require(i == 0 || i == expected_, [&] {
    return cat("[unipc] found step ", i, ", expected step ", expected_, "; steps must be taken in order");
  });
  const auto type = x.scalar_type() == at::kDouble ? at::kDouble : at::kFloat;
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
