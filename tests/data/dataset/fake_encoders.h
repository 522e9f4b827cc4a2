#pragma once

#include <functional>
#include <utility>

#include "core/error.h"
#include "data/config.h"
#include "models/encoders.h"

namespace rehyat::data {

/// Every fourth frame, grey, averaged over 8x8 pixels, in all 16 channels: a latent shows which pictures went into it.
class FakeCodec : public models::VideoCodec {
 public:
  models::VideoGeometry geometry() const override { return {4, 8, 8, 16}; }
  at::Tensor encode(const at::Tensor& video) override {
    ++encoded;
    if (after_encoding) after_encoding();
    if (fails_on_bright && video.max().item<double>() > 0.9) TORCH_CHECK(false, "the codec's own failure\nsecond line");
    const std::int64_t frames = video.size(1), h = video.size(2) / 8, w = video.size(3) / 8;
    const at::Tensor grey = video.mean(0).view({frames, h, 8, w, 8}).mean({2, 4});
    return grey.slice(0, 0, frames, 4).unsqueeze(0).expand({16, 1 + (frames - 1) / 4, h, w}).contiguous();
  }
  at::Tensor decode(const at::Tensor& latents) override { return latents; }
  std::string fingerprint() const override { return "fake"; }

  bool fails_on_bright = false;
  int encoded = 0;  ///< windows
  std::function<void()> after_encoding;
};

class FakeText : public models::TextEncoder {
 public:
  at::Tensor encode(const std::vector<std::string>& prompts) override {
    at::Tensor out = at::empty({static_cast<std::int64_t>(prompts.size()), 2, 3});
    for (std::size_t i = 0; i < prompts.size(); ++i)
      out[static_cast<std::int64_t>(i)].fill_(static_cast<double>(prompts[i].size()));
    return out;
  }
  std::string fingerprint() const override { return "fake text"; }
};

}  // namespace rehyat::data
