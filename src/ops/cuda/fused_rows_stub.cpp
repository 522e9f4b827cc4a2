#include "ops/cuda/fused_rows.h"

namespace rehyat::ops {
namespace {

[[noreturn]] void no_row_kernels() {
  TORCH_CHECK(false, "fused rows: this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

}  // namespace

bool has_fused_stream(const at::Tensor&, const at::Tensor&, at::ScalarType) {
  return false;
}
NormedStream fused_norm_stream(const at::Tensor&, const RowNorm&) {
  no_row_kernels();
}
NormedStream fused_add_and_norm(const at::Tensor&, const at::Tensor&, const at::Tensor&, const RowNorm&) {
  no_row_kernels();
}
at::Tensor fused_gated_sum(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  no_row_kernels();
}

}  // namespace rehyat::ops
