#include "text/tokenizer.h"

#include <algorithm>
#include <bit>

#include "core/error.h"
#include "core/hash.h"
#include "core/strings.h"
#include "text/unicode.h"

namespace rehyat::text {
namespace {

constexpr std::string_view kWordStart = "\xE2\x96\x81";  // U+2581, which stands for a space

/// Unicode's White_Space, as Rust has it: without the separators 1C to 1F that Python counts in.
bool is_white(char32_t c) {
  return is_space(c) && !(c >= 0x1C && c <= 0x1F);
}

std::string fingerprint_of(const Vocabulary& vocabulary) {
  Hasher hasher;
  hasher.update(kTokenizerVersion);
  for (const auto& [piece, score] : vocabulary.pieces) {
    const auto bits = std::bit_cast<std::uint64_t>(score);
    const std::uint64_t size = piece.size();
    hasher.update(&size, sizeof size).update(piece).update(&bits, sizeof bits);
  }
  hasher.update(vocabulary.charsmap);
  for (const auto& [name, id] : vocabulary.special) hasher.update(cat(name, '\n', id, '\n'));
  return hasher.update(cat(vocabulary.unknown, ' ', vocabulary.end, ' ', vocabulary.padding)).digest();
}

}  // namespace

Tokenizer::Tokenizer(const std::filesystem::path& path) : Tokenizer(read_vocabulary(path)) {}

Tokenizer::Tokenizer(const Vocabulary& vocabulary)
    : path_(vocabulary.source),
      charsmap_(vocabulary.charsmap, vocabulary.source),
      unigram_(vocabulary),
      special_(vocabulary.special),
      end_(vocabulary.end),
      padding_(vocabulary.padding),
      size_(static_cast<std::int64_t>(vocabulary.pieces.size())),
      fingerprint_(fingerprint_of(vocabulary)) {
  std::stable_sort(special_.begin(), special_.end(),
                   [](const auto& a, const auto& b) { return a.first.size() > b.first.size(); });
  std::erase_if(special_, [](const auto& token) { return token.first.empty(); });
  for (const auto& [name, id] : special_) {
    size_ = std::max(size_, id + 1);
    if (special_starts_.find(name.front()) == std::string::npos) special_starts_ += name.front();
  }
}

std::vector<std::int64_t> Tokenizer::encode(std::string_view text, std::int64_t length) const {
  require(length >= 1, [&] { return cat("[tokenizer] found a length of ", length, ", expected at least 1"); });
  std::vector<std::int64_t> ids;
  std::size_t plain = 0;  // start of the text that is not encoded yet
  for (std::size_t at = text.find_first_of(special_starts_); at < text.size();
       at = text.find_first_of(special_starts_, at)) {
    const auto found = std::find_if(special_.begin(), special_.end(), [&](const auto& token) {
      return text.substr(at, token.first.size()) == token.first;
    });
    if (found == special_.end()) {
      ++at;
      continue;
    }
    encode_plain(text.substr(plain, at - plain), ids);
    ids.push_back(found->second);
    at += found->first.size();
    plain = at;
  }
  encode_plain(text.substr(plain), ids);
  ids.resize(std::min(ids.size(), static_cast<std::size_t>(length - 1)));
  ids.push_back(end_);
  return ids;
}

void Tokenizer::encode_plain(std::string_view text, std::vector<std::int64_t>& ids) const {
  std::string word;
  const auto finish = [&] {
    if (!word.empty()) unigram_.encode(word, ids);
    word.clear();
  };
  bool inside = false;
  for (const char32_t c : from_utf8(charsmap_.normalize(text))) {
    if (is_white(c)) {
      inside = false;
      continue;
    }
    // A word begins behind white space, and where the text itself has the sign of one.
    const bool sign = c == 0x2581;
    if (!inside || sign) finish();
    if (!inside && !sign) word += kWordStart;
    append_utf8(word, c);
    inside = true;
  }
  finish();
}

}  // namespace rehyat::text
