#pragma once

#include "models/encoder_family.h"

namespace rehyat::models {

/// The block transform and seeded words: encoders that need no downloaded weights.
class EmbeddedEncoders : public EncoderFamily {
 public:
  std::string name() const override { return "embedded"; }
  bool has_files(const EncoderFiles&) const override { return false; }
  VideoGeometry published_geometry() const override;
  Encoders open(const EncoderRequest& request) const override;
};

}  // namespace rehyat::models
