#include "core/error.h"

namespace rehyat {

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
