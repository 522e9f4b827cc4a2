#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

#include "text/charsmap.h"
#include "text/unigram.h"

namespace rehyat::text {

/// Changes with every change of what Tokenizer returns for the same files.
constexpr std::string_view kTokenizerVersion = "t5-unigram-1";

/// The tokenizer of T5 and UMT5, with the ids of transformers 5's T5Tokenizer as diffusers' WanPipeline calls it.
class Tokenizer {
 public:
  /// A tokenizer's folder or file, see read_vocabulary. Throws UserError.
  explicit Tokenizer(const std::filesystem::path& path);

  /// Ids of a text (UTF-8), the end token last; what does not fit in `length` ids is cut in front of it. Special tokens
  /// that stand in the text literally, such as </s>, become their ids. Throws UserError if `length` is below 1.
  std::vector<std::int64_t> encode(std::string_view text, std::int64_t length) const;

  std::int64_t padding() const { return padding_; }
  /// One more than the largest id.
  std::int64_t size() const { return size_; }
  /// Checksum of the vocabulary, scores, map of characters and special tokens.
  const std::string& fingerprint() const { return fingerprint_; }
  const std::string& path() const { return path_; }

 private:
  explicit Tokenizer(const Vocabulary& vocabulary);
  void encode_plain(std::string_view text, std::vector<std::int64_t>& ids) const;

  std::string path_;
  Charsmap charsmap_;
  Unigram unigram_;
  std::vector<std::pair<std::string, std::int64_t>> special_;  // the longest first
  std::string special_starts_;                                 // first bytes of theirs
  std::int64_t end_, padding_, size_;
  std::string fingerprint_;
};

}  // namespace rehyat::text
