#pragma once

#include <cstdint>
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace rehyat::text {

/// What a tokenizer's files hold: the pieces of a unigram model, how characters are normalized, and the special tokens.
struct Vocabulary {
  std::vector<std::pair<std::string, double>> pieces;  ///< piece and score (log probability); the index is the id
  std::int64_t unknown = 0;                            ///< id of what no piece covers
  std::string charsmap;                                ///< SentencePiece's precompiled map of characters; may be empty
  std::vector<std::pair<std::string, std::int64_t>> special;  ///< tokens that are found literally, before anything else
  std::int64_t end = 0, padding = 0;                          ///< ids of the end of a text, and of what follows it
  std::string source;                                         ///< the file that was read
};

/// Reads a tokenizer's folder in transformers' layout: tokenizer.json, or else spiece.model, or else another
/// SentencePiece model (tokenizer.model or sentencepiece.model, not both), and tokenizer_config.json where it is there.
/// A file's path is read as the kind that its name tells. Throws UserError when there is none, when it is damaged, or
/// no unigram model.
Vocabulary read_vocabulary(const std::filesystem::path& path);

/// A SentencePiece ModelProto; `extra` sentinels <extra_id_0> ... are added behind its pieces, the last one first.
Vocabulary read_sentencepiece(const std::filesystem::path& path, std::int64_t extra);

}  // namespace rehyat::text
