#pragma once

#include "models/encoders.h"

/// Encoders whose files are not here yet. Counting works with them; encoding and decoding throw UserError.
namespace rehyat::models {

class AssumedCodec : public VideoCodec {
 public:
  explicit AssumedCodec(const VideoGeometry& geometry) : geometry_(geometry) {}
  VideoGeometry geometry() const override { return geometry_; }
  at::Tensor encode(const at::Tensor& video) override;
  at::Tensor decode(const at::Tensor& latents) override;
  std::string fingerprint() const override { return "assumed"; }

 private:
  VideoGeometry geometry_;
};

class AssumedTextEncoder : public TextEncoder {
 public:
  at::Tensor encode(const std::vector<std::string>& prompts) override;
  std::string fingerprint() const override { return "assumed"; }
};

}  // namespace rehyat::models
