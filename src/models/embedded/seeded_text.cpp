#include "models/embedded/seeded_text.h"

#include <algorithm>
#include <cassert>
#include <cmath>

#include "core/hash.h"
#include "core/rng.h"
#include "core/utf8.h"

namespace rehyat::models {
namespace {

constexpr char32_t kInvalid = 0xFFFFFFFF;  // a byte that starts no character

enum class Sort { letter, apostrophe, ideograph, separator };

Sort sort_of(char32_t code) {
  if (code < 0x80) {
    const bool alphanumeric =
        (code >= '0' && code <= '9') || (code >= 'a' && code <= 'z') || (code >= 'A' && code <= 'Z');
    return alphanumeric ? Sort::letter : code == '\'' ? Sort::apostrophe : Sort::separator;
  }
  if (code == kInvalid || code < 0xC0 || code == 0xD7 || code == 0xF7) return Sort::separator;  // Latin-1 signs
  if (code == 0x2019) return Sort::apostrophe;
  if ((code >= 0x2000 && code <= 0x2BFF) || (code >= 0x3000 && code <= 0x303F)) return Sort::separator;
  if ((code >= 0xFF00 && code <= 0xFF0F) || (code >= 0xFF1A && code <= 0xFF20) || code == 0xFEFF)
    return Sort::separator;
  const bool ideograph = (code >= 0x2E80 && code <= 0x9FFF) || (code >= 0xF900 && code <= 0xFAFF) || code >= 0x20000;
  return ideograph ? Sort::ideograph : Sort::letter;
}

std::vector<float> seeded_vector(std::uint64_t seed, std::string_view purpose, std::uint64_t index,
                                 std::int64_t width) {
  std::vector<float> values(static_cast<std::size_t>(width));
  Rng(seed, purpose, {index}).fill_normal(values);
  return values;
}

std::vector<float> word_vector(std::string_view word, std::uint64_t seed, std::int64_t width) {
  return seeded_vector(seed, "text.word", std::stoull(hash_text(word).substr(0, 16), nullptr, 16), width);
}

void normalise(std::span<float> row) {
  double squares = 0;
  for (const float value : row) squares += static_cast<double>(value) * value;
  const double scale = squares > 0 ? std::sqrt(static_cast<double>(row.size()) / squares) : 0;
  for (float& value : row) value = static_cast<float>(value * scale);
}

}  // namespace

std::vector<std::string> split_words(std::string_view text) {
  std::vector<std::string> words;
  std::string word;
  bool pending_apostrophe = false;
  const auto finish = [&] {
    if (!word.empty()) words.push_back(std::move(word));
    word.clear();
    pending_apostrophe = false;
  };
  for (std::size_t position = 0; position < text.size();) {
    const std::size_t begin = position;
    const auto character = decode_utf8(text.substr(position));
    const char32_t code = character ? character->code : kInvalid;
    position += character ? character->bytes : 1;
    switch (sort_of(code)) {
      case Sort::letter:
        if (pending_apostrophe) word += '\'';
        pending_apostrophe = false;
        if (code < 0x80)
          word += static_cast<char>(code >= 'A' && code <= 'Z' ? code - 'A' + 'a' : code);
        else
          word += text.substr(begin, position - begin);
        break;
      case Sort::apostrophe:
        if (pending_apostrophe) finish();
        pending_apostrophe = !word.empty();
        break;
      case Sort::ideograph:
        finish();
        words.emplace_back(text.substr(begin, position - begin));
        break;
      case Sort::separator:
        finish();
        break;
    }
  }
  finish();
  return words;
}

std::int64_t encode_words(const std::vector<std::string>& words, std::uint64_t seed, std::int64_t length,
                          std::int64_t width, std::span<float> out) {
  const std::int64_t used = std::min(static_cast<std::int64_t>(words.size()), length - 1), rows = used + 1;
  assert(length >= 1 && static_cast<std::int64_t>(out.size()) >= rows * width);
  const auto columns = static_cast<std::size_t>(width);
  std::vector<float> previous(columns), mean(columns);
  for (std::int64_t i = 0; i < used; ++i) {
    const std::vector<float> word = word_vector(words[static_cast<std::size_t>(i)], seed, width);
    const std::vector<float> place = seeded_vector(seed, "text.position", static_cast<std::uint64_t>(i), width);
    const auto row = out.subspan(static_cast<std::size_t>(i) * columns, columns);
    for (std::size_t j = 0; j < columns; ++j) {
      row[j] = std::sqrt(0.5f) * word[j] + 0.5f * previous[j] + 0.5f * place[j];
      mean[j] += word[j] / static_cast<float>(used);
    }
    normalise(row);
    previous = word;
  }
  // The end's own vector keeps the row from being empty where there are no words.
  const std::vector<float> end = seeded_vector(seed, "text.end", 0, width);
  normalise(mean);
  const auto row = out.subspan(static_cast<std::size_t>(used) * columns, columns);
  for (std::size_t j = 0; j < columns; ++j) row[j] = end[j] + mean[j];
  normalise(row);
  return rows;
}

}  // namespace rehyat::models
