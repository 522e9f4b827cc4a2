#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "text/vocabulary.h"

namespace rehyat::text {

/// The segmentation of a word with the highest sum of scores, summed in float64 from the left as the tokenizers library
/// does: SentencePiece itself sums in float32 and settles ties (a long row of dashes) differently.
class Unigram {
 public:
  explicit Unigram(const Vocabulary& vocabulary);

  /// Appends the ids of a word in UTF-8. What no piece covers is one unknown token for each unbroken stretch.
  void encode(std::string_view word, std::vector<std::int64_t>& ids) const;

 private:
  struct Piece {
    std::string text;
    double score;
    std::int64_t id;
  };
  std::vector<Piece> pieces_;  // sorted by text
  std::int64_t unknown_;
  double unknown_score_;
};

}  // namespace rehyat::text
