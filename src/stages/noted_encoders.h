#pragma once

#include <memory>
#include <string>
#include <vector>

#include "models/encoders.h"
#include "stages/input_notes.h"

namespace rehyat::stages {

/// A codec with files, of which the run's notes know layout and fingerprint once the files are gone.
class NotedCodec : public models::VideoCodec {
 public:
  /// `codec` is null where `input` is gone.
  NotedCodec(std::unique_ptr<models::VideoCodec> codec, InputNotes::Input input, InputNotes& notes);
  /// As the layout of an input's codec is noted.
  static InputNotes::Input layout_of(InputNotes::Input input);

  models::VideoGeometry geometry() const override { return geometry_; }
  at::Tensor encode(const at::Tensor& video) override;
  at::Device device() const override;
  at::Tensor decode(const at::Tensor& latents) override;
  std::string fingerprint() const override;
  void release() override;

 private:
  models::VideoCodec& codec() const;

  std::unique_ptr<models::VideoCodec> codec_;
  InputNotes::Input input_;
  InputNotes& notes_;
  models::VideoGeometry geometry_;
};

/// A text encoder with files, of which the run's notes know the fingerprint once the files are gone.
class NotedTextEncoder : public models::TextEncoder {
 public:
  NotedTextEncoder(std::unique_ptr<models::TextEncoder> encoder, InputNotes::Input input, InputNotes& notes);

  at::Tensor encode(const std::vector<std::string>& prompts) override;
  std::string fingerprint() const override;
  void release() override;

 private:
  models::TextEncoder& encoder() const;

  std::unique_ptr<models::TextEncoder> encoder_;
  InputNotes::Input input_;
  InputNotes& notes_;
};

}  // namespace rehyat::stages
