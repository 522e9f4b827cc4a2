#include "models/umt5/text_encoder.h"

#include <map>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "text/clean.h"

namespace rehyat::models {

namespace {

constexpr const char* kDiffusersText = "text_encoder";

}  // namespace

SourceNames text_encoder_sources() {
  return {"the text encoder with its tokenizer",
          {{kDiffusersText, "google/umt5-xxl"}},
          "",
          "move one of them to a folder of its own and name the folder of the other with model.text"};
}

Umt5TextOptions find_umt5(const std::filesystem::path& model) {
  namespace fs = std::filesystem;
  Umt5TextOptions out;
  const auto found = find_source(model, text_encoder_sources());
  const bool diffusers = found && found->filename() == kDiffusersText;
  out.weights = diffusers ? model / "text_encoder" : model;
  out.tokenizer = diffusers ? model / "tokenizer" : model / "google" / "umt5-xxl";
  require(diffusers || fs::is_directory(out.tokenizer), [&] {
    return cat(model.string(),
               ": found neither text_encoder and tokenizer nor google/umt5-xxl, expected the folder of a "
               "Wan2.1 model of diffusers or of the original");
  });
  return out;
}

Umt5TextEncoder::Umt5TextEncoder(const Umt5TextOptions& options)
    : tokenizer_(options.tokenizer),
      encoder_(open_umt5(options.weights), options.device, options.type),
      length_(options.length) {
  require(length_ >= 1, [&] { return cat("text length: found ", length_, ", expected at least 1"); });
}

std::vector<std::int64_t> Umt5TextEncoder::tokens(const std::string& prompt) const {
  return tokenizer_.encode(text::clean_prompt(prompt), length_);
}

at::Tensor Umt5TextEncoder::encode(const std::vector<std::string>& prompts) {
  const auto count = static_cast<std::int64_t>(prompts.size());
  at::Tensor out = at::zeros({count, length_, width()}, at::kFloat);
  std::map<std::vector<std::int64_t>, std::int64_t> first;  // the place of a text's first copy
  for (std::int64_t i = 0; i < count; ++i) {
    const std::vector<std::int64_t> ids = tokens(prompts[static_cast<std::size_t>(i)]);
    const auto [same, fresh] = first.emplace(ids, i);
    if (!fresh) {
      out[i].copy_(out[same->second]);
      continue;
    }
    const at::Tensor row = at::tensor(ids, at::kLong).unsqueeze(0);
    out[i].narrow(0, 0, row.size(1)).copy_(encoder_.forward(row, at::ones_like(row))[0]);
  }
  return out;
}

std::string Umt5TextEncoder::fingerprint() const {
  if (fingerprint_.empty()) {
    Hasher hasher;
    hasher.update(encoder_.fingerprint()).update(tokenizer_.fingerprint()).update(text::kCleaningVersion);
    fingerprint_ = cat("umt5-1:", length_, 'x', width(), ':', hasher.digest());
  }
  return fingerprint_;
}

}  // namespace rehyat::models
