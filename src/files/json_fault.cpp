#include "files/json_fault.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <utility>

#include "core/strings.h"

namespace rehyat {
namespace {

bool in_word(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '.' || c == '+' || c == '-';
}

/// The last character before `at` that is no white space; NUL where there is none.
char before(std::string_view text, std::size_t at) {
  const std::size_t found = text.substr(0, at).find_last_not_of(" \t\r\n");
  return found == std::string_view::npos ? '\0' : text[found];
}

std::string about_word(std::string_view word) {
  std::string lower(word.substr(0, 16));
  std::transform(lower.begin(), lower.end(), lower.begin(), [](unsigned char c) { return std::tolower(c); });
  const std::string unsigned_word = lower.substr(lower.find_first_not_of("+-") == 1 ? 1 : 0);
  const std::string quoted = excerpt(word, 32);
  for (const std::string_view name : {"nan", "inf", "infinity"})
    if (unsigned_word == name) return quoted + ", which is no number of JSON";
  constexpr std::array<std::pair<std::string_view, std::string_view>, 4> names = {
      {{"true", "true"}, {"false", "false"}, {"none", "null"}, {"null", "null"}}};
  for (const auto& [name, json] : names)
    if (lower == name && word != json) return cat(quoted, ", which JSON writes as ", json);
  if (std::isdigit(static_cast<unsigned char>(unsigned_word.front())) || unsigned_word.front() == '.')
    return cat("the number ", quoted, ", which JSON does not write like this or which is too large");
  return word == "true" || word == "false" || word == "null" ? cat(quoted, " where it cannot stand")
                                                             : cat("the word ", quoted, " without quotes");
}

JsonFault in_string(std::string_view text, std::size_t at, std::string_view complaint) {
  const std::string_view head = text.substr(0, std::min(at + 1, text.size()));
  const auto says = [&](std::string_view words) { return complaint.find(words) != std::string_view::npos; };
  if (says("surrogate")) {
    // Where a second escape follows, the parser has read that too: the half is the one before it.
    std::size_t escape = head.rfind("\\u");
    if (says("must be followed") && escape != std::string_view::npos && escape >= 6 && head.size() >= escape + 6 &&
        head.substr(escape - 6, 2) == "\\u")
      escape -= 6;
    if (escape == std::string_view::npos) escape = at;
    return {escape,
            cat("half of a surrogate pair, ", excerpt(text.substr(escape, 6)), ", which is a character cut in two")};
  }
  if (says("control character") && at < text.size())
    return {at, text[at] == '\n' || text[at] == '\r'
                    ? std::string("a line end inside of a text, which JSON writes as \\n")
                    : cat("the control character ", static_cast<int>(static_cast<unsigned char>(text[at])),
                          " inside of a text, which JSON writes as an escape")};
  if (says("missing closing quote")) return {at, "a text without its closing quote"};
  const std::size_t escape = head.rfind('\\');
  const std::size_t from = escape == std::string_view::npos ? at : escape;
  return {from, cat("the escape ", excerpt(text.substr(from, 6)), ", which JSON does not have")};
}

}  // namespace

std::size_t start_of_string(std::string_view text, std::size_t end) {
  for (std::size_t at = end; at > 0;) {
    at = text.rfind('"', at - 1);
    if (at == std::string_view::npos) break;
    const std::size_t other = text.substr(0, at).find_last_not_of('\\');
    const std::size_t slashes = at - (other == std::string_view::npos ? 0 : other + 1);
    if (slashes % 2 == 0) return at;
  }
  return end;
}

JsonFault find_json_fault(std::string_view text, std::size_t read, std::string_view complaint, bool ended) {
  const std::size_t at = std::min(read == 0 ? 0 : read - 1, text.size());
  if (complaint.find("invalid string") != std::string_view::npos) return in_string(text, at, complaint);
  if (at == text.size()) return {at, before(text, at) == '\0' ? "no value" : "the end inside of a value"};
  const char c = text[at];
  if (ended) return {at, c == ',' ? "a comma behind the value" : "more text behind the value"};
  if (c == '/' || c == '#') return {at, "a comment, which JSON does not have"};
  if (c == '\'') return {at, "a single quote, where JSON has double quotes"};
  if ((c == '}' || c == ']') && before(text, at) == ',') return {at, "a comma behind the last value"};
  if (c == '"') return {start_of_string(text, at), "a text where a comma, a colon or an end has to stand"};
  if (in_word(c)) {
    std::size_t first = at, end = at;
    while (first > 0 && in_word(text[first - 1])) --first;
    while (end < text.size() && in_word(text[end])) ++end;
    const std::string_view word = text.substr(first, end - first);
    const char last = before(text, first);
    const bool behind_value = last == '"' || last == '}' || last == ']' || in_word(last);
    if (behind_value) return {first, cat(excerpt(word, 32), " where a comma, a colon or an end has to stand")};
    return {first, about_word(word)};
  }
  return {at, cat("the character '", excerpt(text.substr(at, 4), 4), "' where it cannot stand")};
}

}  // namespace rehyat
