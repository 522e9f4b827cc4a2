#include "core/error.h"

#include "core/utf8.h"

namespace rehyat {
namespace {

/// One line that a terminal shows as it is meant.
std::string for_a_terminal(const std::string& sentence) {
  constexpr std::size_t kHead = 3000, kTail = 1000;
  std::string shown = printable(sentence);
  if (shown.size() <= kHead + kTail) return shown;
  const auto inside = [&](std::size_t at) { return (static_cast<unsigned char>(shown[at]) & 0xC0) == 0x80; };
  std::size_t head = kHead, tail = shown.size() - kTail;
  while (inside(head)) --head;
  while (inside(tail)) ++tail;
  return shown.substr(0, head).append(" … ").append(shown, tail);
}

}  // namespace

UserError::UserError(const std::string& sentence) : std::invalid_argument(for_a_terminal(sentence)) {}

std::string to_sentence(const Mistake& mistake) {
  std::string sentence = mistake.where;
  const auto append = [&sentence](std::string_view separator, std::string_view lead, const std::string& part) {
    if (part.empty()) return;
    if (!sentence.empty()) sentence += separator;
    sentence.append(lead).append(part);
  };
  append(": ", "found ", mistake.found);
  append(mistake.found.empty() ? ": " : ", ", "expected ", mistake.expected);
  append("; ", "", mistake.hint);
  return sentence;
}

}  // namespace rehyat
