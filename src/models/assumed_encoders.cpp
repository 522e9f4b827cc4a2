#include "models/assumed_encoders.h"

#include "core/error.h"

namespace rehyat::models {
namespace {

[[noreturn]] void not_here(const char* what, const char* key) {
  throw UserError({key, "no files", what, "download them"});
}

}  // namespace

at::Tensor AssumedCodec::encode(const at::Tensor& /*video*/) {
  not_here("a VAE to encode with", "model.vae");
}

at::Tensor AssumedCodec::decode(const at::Tensor& /*latents*/) {
  not_here("a VAE to decode with", "model.vae");
}

at::Tensor AssumedTextEncoder::encode(const std::vector<std::string>& /*prompts*/) {
  not_here("a text encoder", "model.text");
}

}  // namespace rehyat::models
