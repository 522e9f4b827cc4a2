#include "models/attention/tap.h"

namespace rehyat::models {

TapScope::TapScope(const VideoTransformer& model, const std::vector<std::int64_t>& blocks, const Show& show) {
  for (const std::int64_t block : blocks) {
    SelfAttention attention = model->attention(block);
    AttentionTap before = attention->set_tap(
        [show, block](const at::Tensor& input, const at::Tensor& output) { show(block, input, output); });
    before_.emplace_back(attention, std::move(before));
  }
}

TapScope::~TapScope() {
  for (auto& [attention, tap] : before_) attention->set_tap(std::move(tap));
}

}  // namespace rehyat::models
