#include "text/unigram.h"

#include <algorithm>

namespace rehyat::text {
namespace {

constexpr double kUnknownPenalty = 10.0;
constexpr std::size_t kNowhere = static_cast<std::size_t>(-1);

std::size_t character_bytes(char lead) {
  const auto byte = static_cast<unsigned char>(lead);
  return byte < 0x80 ? 1 : byte >= 0xF0 ? 4 : byte >= 0xE0 ? 3 : 2;
}

}  // namespace

Unigram::Unigram(const Vocabulary& vocabulary) : unknown_(vocabulary.unknown) {
  double least = vocabulary.pieces.front().second;
  for (std::size_t i = 0; i < vocabulary.pieces.size(); ++i) {
    const auto& [text, score] = vocabulary.pieces[i];
    least = std::min(least, score);
    if (!text.empty()) pieces_.push_back({text, score, static_cast<std::int64_t>(i)});
  }
  unknown_score_ = least - kUnknownPenalty;
  // Of pieces that come twice the last counts.
  std::stable_sort(pieces_.begin(), pieces_.end(), [](const Piece& a, const Piece& b) { return a.text < b.text; });
  const auto last =
      std::unique(pieces_.rbegin(), pieces_.rend(), [](const Piece& a, const Piece& b) { return a.text == b.text; });
  pieces_.erase(pieces_.begin(), last.base());
}

void Unigram::encode(std::string_view word, std::vector<std::int64_t>& ids) const {
  struct Best {
    double score = 0;
    std::size_t from = kNowhere;
    std::int64_t id = 0;
  };
  std::vector<Best> best(word.size() + 1);  // of the ways to reach each byte
  const auto offer = [&](std::size_t from, std::size_t to, std::int64_t id, double score) {
    const double sum = score + best[from].score;
    if (best[to].from == kNowhere || sum > best[to].score) best[to] = {sum, from, id};
  };
  for (std::size_t from = 0; from < word.size();) {
    const std::size_t character = std::min(character_bytes(word[from]), word.size() - from);
    bool covered = false;
    auto first = pieces_.begin(), last = pieces_.end();
    for (std::size_t length = 1; length <= word.size() - from && first != last; ++length) {
      // The pieces that start with the next `length` bytes; shorter ones come before longer ones.
      const std::string_view head = word.substr(from, length);
      first = std::lower_bound(first, last, head, [](const Piece& p, std::string_view h) { return p.text < h; });
      last = std::upper_bound(first, last, head, [](std::string_view h, const Piece& p) {
        return h < std::string_view(p.text).substr(0, h.size());
      });
      if (first == last || first->text != head) continue;
      offer(from, from + length, first->id, first->score);
      covered = covered || length == character;
    }
    if (!covered) offer(from, from + character, unknown_, unknown_score_);
    from += character;
  }
  std::vector<std::int64_t> backwards;
  for (std::size_t at = word.size(); at > 0; at = best[at].from) {
    const bool again = best[at].id == unknown_ && !backwards.empty() && backwards.back() == unknown_;
    if (!again) backwards.push_back(best[at].id);
  }
  ids.insert(ids.end(), backwards.rbegin(), backwards.rend());
}

}  // namespace rehyat::text
