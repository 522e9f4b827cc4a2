#include "ops/cuda/fused_blend.h"

namespace rehyat::ops {

bool has_fused_blend(const at::Tensor&) {
  return false;
}

void fused_blend(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, Normalizer,
                 const BlendTargets&, const at::Tensor&) {
  TORCH_CHECK(false, "fused_blend: this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

}  // namespace rehyat::ops
