#include "ops/cuda/fused_distance.h"

namespace rehyat::ops {

bool has_fused_distance(const at::Tensor&, const at::Tensor&) {
  return false;
}

at::Tensor fused_distance(const at::Tensor&, const at::Tensor&, Distance) {
  TORCH_CHECK(false, "fused distance: this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

}  // namespace rehyat::ops
