#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace rehyat {

/// How many characters a text has; a byte that is no UTF-8 counts as one.
std::size_t character_count(std::string_view text);
/// The text filled up with spaces to so many characters, behind it or, `right`, before it.
std::string padded(std::string_view text, std::size_t width, bool right = false);

/// A table for people: columns as wide as their widest cell, two spaces apart.
class TextTable {
 public:
  struct Column {
    std::string title;
    bool number = false;  ///< its cells stand to the right
  };
  explicit TextTable(std::vector<Column> columns) : columns_(std::move(columns)) {}

  /// One cell a column.
  TextTable& row(std::vector<std::string> cells);
  bool empty() const { return rows_.empty(); }
  /// The titles, unless all are empty, and the rows. Each line begins with `indent`, ends with a line break and has no
  /// spaces before it.
  std::string text(std::string_view indent = "") const;

 private:
  std::vector<Column> columns_;
  std::vector<std::vector<std::string>> rows_;
};

/// What is said of one thing, a line each: its name, and behind all names the value.
class TextList {
 public:
  TextList& add(std::string name, std::string value);
  std::string text(std::string_view indent = "") const;

 private:
  TextTable table_{{{""}, {""}}};
};

}  // namespace rehyat
