#include "models/embedded/family.h"

#include "core/error.h"
#include "core/strings.h"
#include "models/embedded/embedded_encoders.h"

namespace rehyat::models {

VideoGeometry EmbeddedEncoders::published_geometry() const {
  return BlockTransformCodec().geometry();
}

Encoders EmbeddedEncoders::open(const EncoderRequest& request) const {
  for (const std::string& key : request.settings.given()) {
    throw UserError(cat("model.", key, ": found a setting of the published encoders, expected none with the embedded ",
                        "ones; remove it, or name the published ones with model.vae and model.text"));
  }
  SeededTextOptions options;
  options.length = request.model.text_tokens;
  options.width = request.model.text_width;
  return {std::make_unique<BlockTransformCodec>(), std::make_unique<SeededTextEncoder>(options)};
}

}  // namespace rehyat::models
