#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

/// The arithmetic of the embedded text encoder: words become seeded normal vectors. It understands nothing, but equal
/// words get equal vectors, so that a model can learn what they go with.
namespace rehyat::models {

/// Lower-case words of UTF-8 text. ASCII letters, digits, apostrophes inside a word and all other letters stay
/// together; ideographs and kana, which are written without spaces, are words of their own; everything else separates.
/// Bytes that are no UTF-8 separate too.
std::vector<std::string> split_words(std::string_view text);

/// One row a word plus the end-of-sequence row, at most `length` rows; row-major [rows, width] in `out`, whose first
/// rows * width values are written. Each row is sqrt(1/2) its word + 1/2 the word before + 1/2 its position, brought to
/// a root mean square of 1; the last row stands for the end and holds the mean of the words. Returns the number of
/// rows.
std::int64_t encode_words(const std::vector<std::string>& words, std::uint64_t seed, std::int64_t length,
                          std::int64_t width, std::span<float> out);

}  // namespace rehyat::models
