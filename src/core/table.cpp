#include "core/table.h"

#include <algorithm>
#include <cassert>

#include "core/utf8.h"

namespace rehyat {

std::size_t character_count(std::string_view text) {
  std::size_t count = 0;
  for (std::size_t i = 0; i < text.size(); ++count) {
    const auto character = decode_utf8(text.substr(i));
    i += character ? character->bytes : 1;
  }
  return count;
}

std::string padded(std::string_view text, std::size_t width, bool right) {
  const std::size_t count = character_count(text);
  const std::string spaces(width > count ? width - count : 0, ' ');
  return right ? spaces + std::string(text) : std::string(text) + spaces;
}

TextTable& TextTable::row(std::vector<std::string> cells) {
  assert(cells.size() == columns_.size());
  rows_.push_back(std::move(cells));
  return *this;
}

std::string TextTable::text(std::string_view indent) const {
  std::vector<std::vector<std::string>> lines;
  if (std::any_of(columns_.begin(), columns_.end(), [](const Column& column) { return !column.title.empty(); })) {
    std::vector<std::string>& titles = lines.emplace_back();
    for (const Column& column : columns_) titles.push_back(column.title);
  }
  lines.insert(lines.end(), rows_.begin(), rows_.end());
  std::vector<std::size_t> widths(columns_.size(), 0);
  for (const auto& line : lines) {
    for (std::size_t i = 0; i < line.size(); ++i) widths[i] = std::max(widths[i], character_count(line[i]));
  }
  std::string out;
  for (const auto& line : lines) {
    std::string text(indent);
    for (std::size_t i = 0; i < line.size(); ++i) {
      if (i > 0) text += "  ";
      text += padded(line[i], widths[i], columns_[i].number);
    }
    text.erase(text.find_last_not_of(' ') + 1);
    out.append(text).append("\n");
  }
  return out;
}

TextList& TextList::add(std::string name, std::string value) {
  table_.row({std::move(name), std::move(value)});
  return *this;
}

std::string TextList::text(std::string_view indent) const {
  return table_.text(indent);
}

}  // namespace rehyat
