#include "ops/cuda/fused_rows.h"

namespace rehyat::ops {

bool has_fused_heads(const at::Tensor&, std::int64_t, const RopeTables*) {
  return false;
}
HeadsTwice fused_norm_heads(const at::Tensor&, const at::Tensor&, double, std::int64_t, const RopeTables*, int) {
  TORCH_CHECK(false, "fused heads: this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

}  // namespace rehyat::ops
