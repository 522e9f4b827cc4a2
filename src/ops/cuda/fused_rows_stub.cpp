#include "ops/cuda/fused_rows.h"

namespace rehyat::ops {
namespace {

[[noreturn]] void missing() {
  TORCH_CHECK(false, "fused rows: this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

}  // namespace

bool has_fused_rows(std::initializer_list<at::Tensor>) {
  return false;
}

at::Tensor fused_modulated_norm(const at::Tensor&, const at::Tensor&, const at::Tensor&, double, at::ScalarType) {
  missing();
}
at::Tensor fused_gated_sum(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  missing();
}
at::Tensor fused_norm_rope(const at::Tensor&, const at::Tensor&, double, std::int64_t, const RopeTables*) {
  missing();
}

}  // namespace rehyat::ops
