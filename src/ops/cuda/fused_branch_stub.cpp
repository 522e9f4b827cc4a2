#include <c10/util/Exception.h>

#include "ops/cuda/fused_branch.h"

namespace rehyat::ops {
namespace {

[[noreturn]] void no_fused_branch() {
  TORCH_CHECK(false, "fused branch: this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

}  // namespace

bool has_fused_branch(const at::Tensor&, const at::Tensor&) {
  return false;
}

at::Tensor fused_states(const at::Tensor&, const at::Tensor&, std::int64_t) {
  no_fused_branch();
}

void fused_query_side(const QuerySide&, std::optional<Normalizer>, const BlendTargets&, const at::Tensor&) {
  no_fused_branch();
}

void fused_query_gradients(const QueryUpstream&, const at::Tensor&, const at::Tensor&) {
  no_fused_branch();
}

void fused_state_gradients(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  no_fused_branch();
}

void fused_key_gradients(const at::Tensor&, const at::Tensor&, const at::Tensor&, const at::Tensor&,
                         const at::Tensor&) {
  no_fused_branch();
}

}  // namespace rehyat::ops
