#include <yaml-cpp/yaml.h>

#include <algorithm>

#include "config/binding.h"
#include "config/config.h"
#include "core/strings.h"

namespace rehyat::config {
namespace {

using json = nlohmann::ordered_json;

void emit(YAML::Emitter& out, const json& value) {
  if (value.is_object()) {
    out << YAML::BeginMap;
    for (const auto& [key, item] : value.items()) {
      out << YAML::Key << key << YAML::Value;
      emit(out, item);
    }
    out << YAML::EndMap;
  } else if (value.is_array()) {
    const bool flow = std::none_of(value.begin(), value.end(), [](const json& item) { return item.is_object(); });
    if (flow) out << YAML::Flow;
    out << YAML::BeginSeq;
    for (const json& item : value) emit(out, item);
    out << YAML::EndSeq;
  } else if (value.is_string()) {
    // Text that reads as something else is quoted, so that the file parses back to the same settings.
    const std::string& text = value.get_ref<const std::string&>();
    const bool plain = !text.empty() &&
                       std::all_of(text.begin(), text.end(),
                                   [](unsigned char c) { return std::isalpha(c) || c == '_' || c == '/'; }) &&
                       text != "true" && text != "false" && text != "null";
    if (!plain) out << YAML::DoubleQuoted;
    out << text;
  } else if (value.is_null()) {
    out << YAML::Null;
  } else {
    out << value.dump();
  }
}

struct Line {
  std::string name, value, doc;
};

void collect(const Fields& fields, const std::string& prefix, std::vector<Line>& lines) {
  for (const auto& field : fields.all()) {
    const Binding& key = field->binding();
    const std::string name = prefix.empty() ? key.name : prefix + "." + key.name;
    if (key.children) {
      lines.push_back({name, "", key.doc});
      collect(*key.children, name, lines);
    } else if (key.describe) {
      lines.push_back({name, "(optional)", key.doc});
      Fields children;
      key.describe(children);
      collect(children, name, lines);
    } else {
      const std::string value = key.is_required ? "(required)" : key.dump().dump();
      const bool choice = key.type.find(" | ") != std::string::npos;
      lines.push_back({name, value, choice ? key.doc + " (" + key.type + ")" : key.doc});
    }
  }
}

}  // namespace

std::string yaml(const json& value) {
  YAML::Emitter out;
  emit(out, value);
  return std::string(out.c_str()) + "\n";
}

std::string documentation(const Fields& fields, std::string_view prefix) {
  std::vector<Line> lines;
  collect(fields, std::string(prefix), lines);
  std::size_t name_width = 0, value_width = 0;
  for (const Line& line : lines) {
    name_width = std::max(name_width, line.name.size());
    value_width = std::max(value_width, std::min<std::size_t>(line.value.size(), 20));
  }
  std::string text;
  for (const Line& line : lines) {
    text += "  " + line.name + std::string(name_width - line.name.size() + 2, ' ') + line.value;
    text +=
        std::string(line.value.size() < value_width ? value_width - line.value.size() + 2 : 2, ' ') + line.doc + "\n";
  }
  return text;
}

}  // namespace rehyat::config
