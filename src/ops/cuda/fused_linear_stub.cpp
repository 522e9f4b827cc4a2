#include <c10/util/Exception.h>

#include "ops/cuda/fused_linear.h"

namespace rehyat::ops {
namespace {

[[noreturn]] void no_fused_linear() {
  TORCH_CHECK(false, "fused linear branch: this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

}  // namespace

bool has_fused_linear(const at::Tensor&) {
  return false;
}

at::Tensor fused_columns(const at::Tensor&, std::int64_t) {
  no_fused_linear();
}

at::Tensor fused_upstream(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&, std::int64_t) {
  no_fused_linear();
}

void fused_fold(const at::Tensor&, const std::vector<RectangleGradients>&, const at::Tensor&) {
  no_fused_linear();
}

std::size_t most_folded_batches() {
  return 0;
}

}  // namespace rehyat::ops
