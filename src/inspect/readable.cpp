#include <algorithm>

#include "core/strings.h"
#include "inspect/files.h"

namespace rehyat::inspect {
namespace {

using json = nlohmann::ordered_json;

std::string scalar(const json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_null()) return "-";
  return value.dump();
}

/// Short enough for one line: scalars, and lists of them.
bool is_flat(const json& value) {
  if (!value.is_structured()) return true;
  return value.is_array() &&
         std::none_of(value.begin(), value.end(), [](const json& item) { return item.is_structured(); });
}

std::string flat(const json& value) {
  if (!value.is_array()) return scalar(value);
  std::vector<std::string> items;
  for (const json& item : value) items.push_back(scalar(item));
  return cat('[', join(items, ", "), ']');
}

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size(), width), ' ');
  return text;
}

/// Objects with the same keys and flat values.
bool is_table(const json& value) {
  if (!value.is_array() || value.empty() || !value[0].is_object()) return false;
  return std::all_of(value.begin(), value.end(), [&](const json& row) {
    if (!row.is_object() || row.size() != value[0].size()) return false;
    for (const auto& item : row.items()) {
      if (!value[0].contains(item.key()) || !is_flat(item.value())) return false;
    }
    return true;
  });
}

void write(std::string& out, const json& value, const std::string& indent);

void write_table(std::string& out, const json& rows, const std::string& indent) {
  std::vector<std::string> keys;
  std::vector<std::size_t> widths;
  for (const auto& item : rows[0].items()) {
    keys.push_back(item.key());
    widths.push_back(item.key().size());
    for (const json& row : rows) widths.back() = std::max(widths.back(), flat(row.at(item.key())).size());
  }
  const auto line = [&](const auto& cell) {
    std::string text = indent;
    for (std::size_t i = 0; i < keys.size(); ++i) {
      text += padded(cell(keys[i]), i + 1 < keys.size() ? widths[i] + 2 : 0);
    }
    out += text + "\n";
  };
  line([](const std::string& key) { return key; });
  for (const json& row : rows) line([&](const std::string& key) { return flat(row.at(key)); });
}

void write(std::string& out, const json& value, const std::string& indent) {
  if (is_flat(value)) {
    out += indent + flat(value) + "\n";
  } else if (is_table(value)) {
    write_table(out, value, indent);
  } else if (value.is_array()) {
    for (const json& item : value) write(out, item, indent + "  ");
  } else {
    std::size_t width = 0;
    for (const auto& item : value.items()) width = std::max(width, item.key().size());
    for (const auto& item : value.items()) {
      if (is_flat(item.value())) {
        out += indent + padded(item.key(), width + 2) + flat(item.value()) + "\n";
      } else {
        out += indent + item.key() + "\n";
        write(out, item.value(), indent + "  ");
      }
    }
  }
}

}  // namespace

std::string readable(const json& value) {
  std::string out;
  write(out, value, "");
  if (!out.empty()) out.pop_back();  // the caller ends the line
  return out;
}

}  // namespace rehyat::inspect
