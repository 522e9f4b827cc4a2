#include "stages/noted_encoders.h"

#include <utility>

#include "config/config.h"
#include "core/error.h"
#include "core/strings.h"

namespace rehyat::stages {
namespace {

struct GeometryNote {
  models::VideoGeometry geometry;
  void fields(config::Fields& f) {
    f.add("frames", geometry.frames, "behind one latent value");
    f.add("height", geometry.height, "behind one latent value");
    f.add("width", geometry.width, "behind one latent value");
    f.add("channels", geometry.channels, "of the latent");
  }
};

InputNotes::Input noted_as(const std::string& kind, InputNotes::Input input) {
  input.kind = kind;
  return input;
}

void require_there(bool there, const char* what, const InputNotes::Input& input) {
  require(there, [&] {
    return cat(input.path.string(), ": found that the ", what, " of this run is gone, expected it, since this stage ",
               "runs it; bring it back");
  });
}

}  // namespace

NotedCodec::NotedCodec(std::unique_ptr<models::VideoCodec> codec, InputNotes::Input input, InputNotes& notes)
    : codec_(std::move(codec)), input_(std::move(input)), notes_(notes) {
  const auto said =
      notes_.said(layout_of(input_), [this] { return config::to_json(GeometryNote{this->codec().geometry()}); });
  geometry_ = config::from_json<GeometryNote>(said, "the note of a video codec").geometry;
}

InputNotes::Input NotedCodec::layout_of(InputNotes::Input input) {
  return noted_as("layout", std::move(input));
}

models::VideoCodec& NotedCodec::codec() const {
  require_there(codec_ != nullptr, "video codec", input_);
  return *codec_;
}

at::Tensor NotedCodec::encode(const at::Tensor& video) {
  return codec().encode(video);
}

at::Device NotedCodec::device() const {
  return codec().device();
}

at::Tensor NotedCodec::decode(const at::Tensor& latents) {
  return codec().decode(latents);
}

std::string NotedCodec::fingerprint() const {
  return notes_.said(noted_as("codec", input_), [this] { return codec().fingerprint(); });
}

void NotedCodec::release() {
  if (codec_) codec_->release();
}

NotedTextEncoder::NotedTextEncoder(std::unique_ptr<models::TextEncoder> encoder, InputNotes::Input input,
                                   InputNotes& notes)
    : encoder_(std::move(encoder)), input_(std::move(input)), notes_(notes) {}

models::TextEncoder& NotedTextEncoder::encoder() const {
  require_there(encoder_ != nullptr, "text encoder", input_);
  return *encoder_;
}

at::Tensor NotedTextEncoder::encode(const std::vector<std::string>& prompts) {
  return encoder().encode(prompts);
}

std::string NotedTextEncoder::fingerprint() const {
  return notes_.said(noted_as("text", input_), [this] { return encoder().fingerprint(); });
}

void NotedTextEncoder::release() {
  if (encoder_) encoder_->release();
}

}  // namespace rehyat::stages
