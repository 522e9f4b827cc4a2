#include "core/readable.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "core/strings.h"
#include "core/table.h"
#include "core/units.h"
#include "core/utf8.h"

namespace rehyat {
namespace {

using json = nlohmann::ordered_json;

/// Whether `word` stands between the underscores of the name.
bool has_word(std::string_view name, std::string_view word) {
  const std::vector<std::string> words = split(name, '_');
  return std::find(words.begin(), words.end(), word) != words.end();
}

std::string readable_number(std::string_view name, const json& value) {
  const double number = value.get<double>();
  if (has_word(name, "seconds")) return human_seconds(number);
  if (has_word(name, "share")) return human_share(number);
  if (has_word(name, "tflops")) return human_flop(number);
  if (name.starts_with("gpu_hours")) return human_seconds(3600 * number);
  if (!value.is_number_integer()) return human_number(number, 6);
  if (has_word(name, "bytes")) return human_bytes(value.get<std::int64_t>());
  if (has_word(name, "parameters")) return human_count(value.get<std::int64_t>());
  return value.dump();
}

std::string readable_scalar(std::string_view name, const json& value) {
  if (value.is_string()) return printable(value.get_ref<const std::string&>());
  if (value.is_null()) return "-";
  if (value.is_boolean()) return value.get<bool>() ? "yes" : "no";
  if (value.is_number()) return readable_number(name, value);
  return value.dump();
}

/// Whether the value fits on one line: a scalar, or a list of them.
bool is_one_line(const json& value) {
  if (!value.is_structured()) return true;
  return value.is_array() &&
         std::none_of(value.begin(), value.end(), [](const json& item) { return item.is_structured(); });
}

/// Whether the value is a list of objects with the same names and values of one line.
bool is_table(const json& value) {
  if (!value.is_array() || value.empty() || !value[0].is_object()) return false;
  return std::all_of(value.begin(), value.end(), [&](const json& row) {
    if (!row.is_object() || row.size() != value[0].size()) return false;
    for (const auto& item : row.items()) {
      if (!value[0].contains(item.key()) || !is_one_line(item.value())) return false;
    }
    return true;
  });
}

std::string table_text(const json& rows, const std::string& indent) {
  std::vector<TextTable::Column> columns;
  for (const auto& item : rows[0].items()) {
    const bool numbers = std::all_of(rows.begin(), rows.end(), [&](const json& row) {
      return row.at(item.key()).is_number() || row.at(item.key()).is_null();
    });
    columns.push_back({item.key(), numbers});
  }
  TextTable table(columns);
  for (const json& row : rows) {
    std::vector<std::string> cells;
    for (const auto& column : columns) cells.push_back(readable_value(column.title, row.at(column.title)));
    table.row(std::move(cells));
  }
  return table.text(indent);
}

std::string value_text(const json& value, const std::string& indent);

/// What fits on one line comes aligned; what does not stands indented below its name, in its place.
std::string object_text(const json& object, const std::string& indent) {
  std::size_t width = 0;
  for (const auto& item : object.items()) width = std::max(width, character_count(printable(item.key())));
  std::string out;
  for (const auto& item : object.items()) {
    if (is_one_line(item.value())) {
      out += indent + padded(printable(item.key()), width + 2) + readable_value(item.key(), item.value()) + "\n";
    } else {
      out += indent + printable(item.key()) + "\n" + value_text(item.value(), indent + "  ");
    }
  }
  return out;
}

std::string value_text(const json& value, const std::string& indent) {
  if (is_one_line(value)) return indent + readable_value("", value) + "\n";
  if (value.is_object()) return object_text(value, indent);
  if (is_table(value)) return table_text(value, indent);
  std::string out;
  for (const json& item : value) out += value_text(item, indent + "  ");
  return out;
}

}  // namespace

std::string readable(const json& value) {
  std::string out = value_text(value, "");
  if (!out.empty()) out.pop_back();  // the caller ends the last line
  return out;
}

std::string readable_value(std::string_view name, const json& value) {
  if (!value.is_array()) return readable_scalar(name, value);
  std::vector<std::string> items;
  for (const json& item : value) items.push_back(readable_scalar(name, item));
  return cat('[', join(items, ", "), ']');
}

}  // namespace rehyat
