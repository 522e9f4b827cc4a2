#include <c10/util/Exception.h>

#include "ops/cuda/fused_feature_map.h"
#include "ops/cuda/fused_hopper_map.h"

namespace rehyat::ops {

bool has_fused_map(const at::Tensor&, const PolyMap&) {
  return false;
}

at::Tensor fused_map(const at::Tensor&, const PolyMap&) {
  TORCH_CHECK(false, "fused feature map: this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

at::Tensor map_by_products(const at::Tensor& x, const PolyMap& map) {
  return fused_map(x, map);
}

bool has_hopper_map(const at::Tensor&, const PolyMap&) {
  return false;
}

at::Tensor hopper_map(const at::Tensor& x, const PolyMap& map) {
  return fused_map(x, map);
}

}  // namespace rehyat::ops
