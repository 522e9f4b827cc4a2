#include <c10/util/Exception.h>

#include "ops/cuda/fused_feature_map.h"

namespace rehyat::ops {

bool has_fused_map(const at::Tensor&, const PolyMap&) {
  return false;
}

at::Tensor fused_map(const at::Tensor&, const PolyMap&) {
  TORCH_CHECK(false, "fused feature map: this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

}  // namespace rehyat::ops
