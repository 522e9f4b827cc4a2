#include "ops/cuda/fused_channels.h"

namespace rehyat::ops {
namespace {

[[noreturn]] void refuse_channels(const char* what) {
  TORCH_CHECK(false, what, ": this program was built without CUDA (REHYAT_CUDA, and libtorch with CUDA)");
}

}  // namespace

bool serves_channels(const at::Tensor&) {
  return false;
}

void fused_channel_norm(const at::Tensor&, const at::Tensor&, const at::Tensor&, bool, const at::Tensor&) {
  refuse_channels("channel_norm");
}

void fused_stacked_norm(const at::Tensor&, const at::Tensor&, const at::Tensor&, bool, const at::Tensor&) {
  refuse_channels("stacked_channel_norm");
}

void fused_biased_sum(const at::Tensor&, const at::Tensor&, const at::Tensor&) {
  refuse_channels("biased_sum");
}

at::Tensor fused_doubled_frames(const at::Tensor&, const at::Tensor&, std::int64_t) {
  refuse_channels("doubled_frames");
}

}  // namespace rehyat::ops
