#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "files/found_source.h"
#include "models/encoders.h"
#include "models/umt5/encoder.h"
#include "text/tokenizer.h"

namespace rehyat::models {

struct Umt5TextOptions {
  std::filesystem::path weights;    ///< see open_umt5
  std::filesystem::path tokenizer;  ///< see text::read_vocabulary
  std::int64_t length = 512;        ///< rows; what is longer is cut in front of the end token
  at::Device device = at::kCPU;
  std::optional<at::ScalarType> type = std::nullopt;  ///< of weights and products, the file's when absent
};

/// The names under which a model's folder has a text encoder.
SourceNames text_encoder_sources();

/// Where a model's folder has them: text_encoder/ and tokenizer/ of diffusers, or the original layout's models_t5_*.pth
/// and google/umt5-xxl/. Throws UserError when it has neither or both.
Umt5TextOptions find_umt5(const std::filesystem::path& model);

/// Prompts as Wan2.1 sees them: cleaned, tokenized, encoded by UMT5 and zero-padded to `length` rows. Each prompt is
/// encoded alone and at its own length, so that its rows do not depend on what else is asked for.
class Umt5TextEncoder : public models::TextEncoder {
 public:
  /// Throws UserError when a file is missing or wrong, or the length is below 1.
  explicit Umt5TextEncoder(const Umt5TextOptions& options);

  /// UTF-8 -> [prompts, length, width], float32 on the CPU. A prompt that comes again is encoded once.
  at::Tensor encode(const std::vector<std::string>& prompts) override;
  /// Changes with sizes, type, weights, tokenizer, length and the version of the cleaning. Reads all weights once.
  std::string fingerprint() const override;

  /// Ids of a prompt after cleaning, the end token last, at most `length`.
  std::vector<std::int64_t> tokens(const std::string& prompt) const;
  std::int64_t width() const { return encoder_.config().width; }
  std::int64_t length() const { return length_; }

 private:
  text::Tokenizer tokenizer_;
  Umt5Encoder encoder_;
  std::int64_t length_;
  mutable std::string fingerprint_;
};

}  // namespace rehyat::models
