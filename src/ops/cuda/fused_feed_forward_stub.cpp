#include "ops/cuda/fused_feed_forward.h"

namespace rehyat::ops {

bool has_fused_feed_forward(const at::Tensor&, const LinearWeights&) {
  return false;
}
at::Tensor fused_feed_forward(const at::Tensor&, const LinearWeights&, const LinearWeights&) {
  TORCH_CHECK(false, "feed-forward: this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

}  // namespace rehyat::ops
