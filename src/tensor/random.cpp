#include "tensor/random.h"

namespace rehyat {
namespace {

at::Tensor fill(Rng& rng, at::IntArrayRef shape, at::Device device, void (Rng::*draw)(std::span<float>)) {
  at::Tensor values = at::empty(shape, at::kFloat);
  (rng.*draw)({values.data_ptr<float>(), static_cast<std::size_t>(values.numel())});
  return values.to(device);
}

}  // namespace

at::Tensor randn(Rng& rng, at::IntArrayRef shape, at::Device device) {
  return fill(rng, shape, device, &Rng::fill_normal);
}
at::Tensor rand(Rng& rng, at::IntArrayRef shape, at::Device device) {
  return fill(rng, shape, device, &Rng::fill_uniform);
}

}  // namespace rehyat
