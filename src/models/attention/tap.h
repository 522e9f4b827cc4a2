#pragma once

#include <cstdint>
#include <functional>
#include <utility>
#include <vector>

#include "models/video_transformer.h"

namespace rehyat::models {

/// While it lives, the self-attention of the given blocks is shown to `show` in every forward pass of the model: the
/// block's number, the attention's input [B,N,dim] and its output before the projection [B,N,dim].
class TapScope {
 public:
  using Show = std::function<void(std::int64_t block, const at::Tensor& input, const at::Tensor& output)>;

  TapScope(const VideoTransformer& model, const std::vector<std::int64_t>& blocks, const Show& show);
  ~TapScope();
  TapScope(const TapScope&) = delete;
  TapScope& operator=(const TapScope&) = delete;

 private:
  std::vector<std::pair<SelfAttention, AttentionTap>> before_;
};

}  // namespace rehyat::models
