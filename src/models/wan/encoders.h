#pragma once

#include "models/encoder_family.h"

namespace rehyat::models {

/// Wan's VAE and UMT5, loaded when they are first used.
class WanEncoders : public EncoderFamily {
 public:
  std::string name() const override { return "wan"; }
  /// One of the two is enough to be asked for the other.
  bool has_files(const EncoderFiles& files) const override {
    return !files.vae.empty() || !files.text.empty() || !files.doubt.empty();
  }
  VideoGeometry published_geometry() const override;
  Encoders open(const EncoderRequest& request) const override;
  std::vector<std::string> missing(const EncoderFiles& files) const override;
  Encoders assume(const EncoderRequest& request) const override;
};

}  // namespace rehyat::models
