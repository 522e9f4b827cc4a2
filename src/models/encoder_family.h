#pragma once

#include <ATen/ATen.h>

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "models/architecture.h"
#include "models/encoder_settings.h"
#include "models/encoders.h"

namespace rehyat::models {

/// Where the encoders' weights lie; empty where there are none.
struct EncoderFiles {
  std::filesystem::path vae, text;
  std::string doubt = {};  ///< why one of them cannot be told among several; empty where all can
};

/// What decides the encoders of a run.
struct EncoderRequest {
  std::filesystem::path weights;  ///< the teacher, for messages
  EncoderFiles files;
  Architecture model;  ///< takes their latents and embeddings
  EncoderSettings settings;
  std::function<at::Device()> device;  ///< asked for when the first of them is used
  /// Checksum of files and folders; `name` is for what remembers it.
  std::function<std::string(const std::vector<std::filesystem::path>&, const std::string& name)> checksum;
};

/// The video codec and the text encoder. Latents and embeddings come and go on the CPU, whatever an encoder runs on;
/// what is large is loaded when it is first used.
struct Encoders {
  std::unique_ptr<VideoCodec> codec;
  std::unique_ptr<TextEncoder> text;
};

/// A codec and a text encoder that are published with one another. Adding one is a folder and a line in
/// known_encoders().
class EncoderFamily {
 public:
  virtual ~EncoderFamily() = default;
  virtual std::string name() const = 0;
  /// Whether some of its files are there, so that it is what `auto` means.
  virtual bool has_files(const EncoderFiles& files) const = 0;
  /// The codec's geometry as it is published, for counts without a model.
  virtual VideoGeometry published_geometry() const = 0;
  /// Throws UserError where files are missing or do not fit the model.
  virtual Encoders open(const EncoderRequest& request) const = 0;
  /// What `open` would miss of these files, for people: "the VAE (model.vae)".
  virtual std::vector<std::string> missing(const EncoderFiles& /*files*/) const { return {}; }
  /// As `open`, but what is missing is stood in for by AssumedCodec and AssumedTextEncoder.
  virtual Encoders assume(const EncoderRequest& request) const { return open(request); }
};

/// The name that stands for whichever family has files.
constexpr const char* kAutomaticEncoders = "auto";

/// The encoders that a program knows. A value, handed down from where the program begins.
class EncoderRegistry {
 public:
  /// At least one, with different names.
  explicit EncoderRegistry(std::vector<std::shared_ptr<const EncoderFamily>> families);

  /// Throws UserError on an unknown name, with the known ones.
  const EncoderFamily& named(const std::string& name) const;
  /// Those of this name; "auto": the first whose files are there, else the last, which needs none.
  const EncoderFamily& choose(const std::string& name, const EncoderFiles& files) const;

 private:
  std::vector<std::shared_ptr<const EncoderFamily>> families_;
};

/// Every family of this program, one line each.
EncoderRegistry known_encoders();

}  // namespace rehyat::models
