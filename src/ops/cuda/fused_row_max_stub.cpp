#include <c10/util/Exception.h>

#include "ops/cuda/fused_row_max.h"

namespace rehyat::ops {

bool has_fused_row_max(const at::Tensor&) {
  return false;
}

void fused_row_max(const at::Tensor&, const at::Tensor&, const at::Tensor&, const std::vector<RectangleBatch>&) {
  TORCH_CHECK(false, "fused row maxima: this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

}  // namespace rehyat::ops
