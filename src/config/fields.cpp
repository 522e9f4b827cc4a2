#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include "config/config.h"
#include "config/node.h"
#include "core/strings.h"
#include "core/units.h"

namespace rehyat::config {
namespace {

using json = nlohmann::ordered_json;

double parse_double(const Node& node, const std::string& name) {
  if (node.kind != Node::Kind::scalar || node.quoted) mistyped(node, name, "a number");
  std::string_view text = node.text;
  if (!text.empty() && text.front() == '+') text.remove_prefix(1);
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() || !std::isfinite(value))
    mistyped(node, name, "a number");
  return value;
}

template <typename Int>
Int parse_integer(const Node& node, const std::string& name) {
  if (node.kind != Node::Kind::scalar || node.quoted) mistyped(node, name, "a whole number");
  Int value = 0;
  const std::string& text = node.text;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error == std::errc::result_out_of_range)
    mistyped(node, name,
             cat("a whole number from ", std::numeric_limits<Int>::min(), " to ", std::numeric_limits<Int>::max()));
  if (error != std::errc() || end != text.data() + text.size()) mistyped(node, name, "a whole number");
  return value;
}

void parse_value(const Node& node, const std::string& name, double& value) {
  value = parse_double(node, name);
}
void parse_value(const Node& node, const std::string& name, int& value) {
  value = parse_integer<int>(node, name);
}
void parse_value(const Node& node, const std::string& name, std::int64_t& value) {
  value = parse_integer<std::int64_t>(node, name);
}
void parse_value(const Node& node, const std::string& name, std::uint64_t& value) {
  value = parse_integer<std::uint64_t>(node, name);
}
void parse_value(const Node& node, const std::string& name, bool& value) {
  if (node.kind != Node::Kind::scalar || node.quoted || (node.text != "true" && node.text != "false"))
    mistyped(node, name, "true or false");
  value = node.text == "true";
}
void parse_value(const Node& node, const std::string& name, std::string& value) {
  if (node.kind != Node::Kind::scalar) mistyped(node, name, "text");
  value = node.text;
}
void parse_value(const Node& node, const std::string& name, std::filesystem::path& value) {
  if (node.kind != Node::Kind::scalar) mistyped(node, name, "a path");
  value = node.text;
}
template <typename T>
void parse_value(const Node& node, const std::string& name, std::vector<T>& value) {
  if (node.kind != Node::Kind::list) mistyped(node, name, "a list");
  value.assign(node.items.size(), T{});
  for (std::size_t i = 0; i < value.size(); ++i) parse_value(node.items[i], cat(name, '.', i), value[i]);
}
void parse_value(const Node& node, const std::string& name, std::map<std::string, std::string>& value) {
  if (node.kind != Node::Kind::map) mistyped(node, name, "a map of texts");
  value.clear();
  for (const auto& [key, item] : node.entries) parse_value(item, cat(name, '.', key), value[key]);
}
template <typename T>
void parse_value(const Node& node, const std::string& name, std::optional<T>& value) {
  value.reset();
  if (node.kind != Node::Kind::null) parse_value(node, name, value.emplace());
}

template <typename T>
json dump_value(const T& value) {
  return value;
}
json dump_value(const std::filesystem::path& value) {
  return value.string();
}
template <typename T>
json dump_value(const std::optional<T>& value) {
  return value ? json(*value) : json(nullptr);
}

/// Ties a field to the variable that it fills.
template <typename T>
Field& tie(Field& field, T& value) {
  field.parse = [&value](const Node& node, const std::string& name) { parse_value(node, name, value); };
  field.dump = [&value] { return dump_value(value); };
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    field.number = [&value] { return static_cast<double>(value); };
  }
  if constexpr (requires { *value + 0.0; }) field.number = [&value] { return static_cast<double>(*value); };
  if constexpr (requires { value->size(); }) field.length = [&value] { return value->size(); };
  if constexpr (requires { value.size(); }) field.length = [&value] { return value.size(); };
  if constexpr (std::is_same_v<T, std::string>) field.text = [&value] { return value; };
  if constexpr (std::is_same_v<T, std::optional<std::string>>) field.text = [&value] { return *value; };
  if constexpr (std::is_same_v<T, std::filesystem::path>) field.length = [&value] { return value.native().size(); };
  return field;
}

std::string number_text(double value) {
  std::ostringstream out;
  out.precision(12);
  out << value;
  return out.str();
}

}  // namespace

Field& Field::above(double bound) {
  checks.emplace_back(cat("a number > ", number_text(bound)), [this, bound] { return number() > bound; });
  return *this;
}
Field& Field::at_least(double bound) {
  checks.emplace_back(cat("a number >= ", number_text(bound)), [this, bound] { return number() >= bound; });
  return *this;
}
Field& Field::at_most(double bound) {
  checks.emplace_back(cat("a number <= ", number_text(bound)), [this, bound] { return number() <= bound; });
  return *this;
}
Field& Field::between(double low, double high) {
  checks.emplace_back(cat("a number from ", number_text(low), " to ", number_text(high)),
                      [this, low, high] { return number() >= low && number() <= high; });
  return *this;
}
Field& Field::one_of(std::vector<std::string> allowed) {
  const std::string expectation = "one of " + join(allowed, ", ");
  checks.emplace_back(expectation, [this, allowed = std::move(allowed)] {
    return std::find(allowed.begin(), allowed.end(), text()) != allowed.end();
  });
  return *this;
}
Field& Field::not_empty() {
  checks.emplace_back("something that is not empty", [this] { return length() > 0; });
  return *this;
}
Field& Field::required() {
  is_required = true;
  return *this;
}
Field& Field::only(std::string when, std::function<bool()> condition) {
  only_when = std::move(when);
  has_effect = std::move(condition);
  return *this;
}

Fields::Fields() = default;
Fields::~Fields() = default;
Fields::Fields(Fields&&) noexcept = default;

Field& Fields::make(std::string name, std::string type, std::string doc) {
  auto field = std::make_unique<Field>();
  field->name = std::move(name);
  field->type = std::move(type);
  field->doc = std::move(doc);
  fields_.push_back(std::move(field));
  return *fields_.back();
}

Field& Fields::add(std::string name, bool& value, std::string doc) {
  return tie(make(std::move(name), "true or false", std::move(doc)), value);
}
Field& Fields::add(std::string name, std::int64_t& value, std::string doc) {
  return tie(make(std::move(name), "a whole number", std::move(doc)), value);
}
Field& Fields::add(std::string name, int& value, std::string doc) {
  return tie(make(std::move(name), "a whole number", std::move(doc)), value);
}
Field& Fields::add(std::string name, std::uint64_t& value, std::string doc) {
  return tie(make(std::move(name), "a whole number >= 0", std::move(doc)), value);
}
Field& Fields::add(std::string name, double& value, std::string doc) {
  return tie(make(std::move(name), "a number", std::move(doc)), value);
}
Field& Fields::add(std::string name, std::string& value, std::string doc) {
  return tie(make(std::move(name), "text", std::move(doc)), value);
}
Field& Fields::add(std::string name, std::filesystem::path& value, std::string doc) {
  return tie(make(std::move(name), "a path", std::move(doc)), value);
}
Field& Fields::add(std::string name, std::vector<std::int64_t>& value, std::string doc) {
  return tie(make(std::move(name), "a list of whole numbers", std::move(doc)), value);
}
Field& Fields::add(std::string name, std::vector<double>& value, std::string doc) {
  return tie(make(std::move(name), "a list of numbers", std::move(doc)), value);
}
Field& Fields::add(std::string name, std::vector<std::string>& value, std::string doc) {
  return tie(make(std::move(name), "a list of texts", std::move(doc)), value);
}
Field& Fields::add(std::string name, std::map<std::string, std::string>& value, std::string doc) {
  return tie(make(std::move(name), "a map of texts", std::move(doc)), value);
}
Field& Fields::add(std::string name, std::optional<std::int64_t>& value, std::string doc) {
  return tie(make(std::move(name), "a whole number or null", std::move(doc)), value);
}
Field& Fields::add(std::string name, std::optional<double>& value, std::string doc) {
  return tie(make(std::move(name), "a number or null", std::move(doc)), value);
}
Field& Fields::add(std::string name, std::optional<std::string>& value, std::string doc) {
  return tie(make(std::move(name), "text or null", std::move(doc)), value);
}

Field& Fields::add(std::string name, std::optional<std::vector<std::int64_t>>& value, std::string doc) {
  return tie(make(std::move(name), "a list of whole numbers or null", std::move(doc)), value);
}

Field& Fields::add(std::string name, Section& value, std::string doc) {
  Field& field = make(std::move(name), "a map", std::move(doc));
  field.parse = [&value](const Node& node, const std::string& name_of_key) {
    if (node.kind == Node::Kind::null) return;
    if (node.kind != Node::Kind::map) mistyped(node, name_of_key, "a map");
    value.node_ = std::make_shared<const Node>(node);
    value.name_ = name_of_key;
    value.shown_ = json_from_node(node);
  };
  field.dump = [&value] { return value.shown_; };
  return field;
}

Field& Fields::bytes(std::string name, std::int64_t& value, std::string doc) {
  Field& field = tie(make(std::move(name), "a size such as 500GB", std::move(doc)), value);
  field.parse = [&value](const Node& node, const std::string& name_of_key) {
    if (node.kind != Node::Kind::scalar) mistyped(node, name_of_key, "a size such as 500GB");
    try {
      value = parse_bytes(node.text, place(node, name_of_key));
    } catch (const UserError& error) {
      throw UsageError(error.what());
    }
  };
  return field;
}

void Fields::shorthand(std::string field) {
  shorthand_ = std::move(field);
}

Field& Fields::number(std::string name, std::function<std::int64_t()> get, std::function<void(std::int64_t)> set,
                      std::string doc) {
  Field& field = make(std::move(name), "a whole number", std::move(doc));
  field.parse = [set](const Node& node, const std::string& key) { set(parse_integer<std::int64_t>(node, key)); };
  field.dump = [get] { return json(get()); };
  field.number = [get] { return static_cast<double>(get()); };
  return field;
}

Field& Fields::choice_impl(std::string name, std::function<std::size_t()> get, std::function<void(std::size_t)> set,
                           std::vector<std::string> labels, std::string doc) {
  Field& field = make(std::move(name), join(labels, " | "), std::move(doc));
  field.parse = [set, labels](const Node& node, const std::string& key) {
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (node.kind == Node::Kind::scalar && node.text == labels[i]) return set(i);
    }
    const std::string near = nearest(node.text, labels);
    throw UsageError({place(node, key), describe(node), "one of " + join(labels, ", "),
                      near.empty() ? "" : "did you mean '" + near + "'?"});
  };
  field.dump = [get, labels]() -> json { return get() < labels.size() ? json(labels[get()]) : json(nullptr); };
  return field;
}

Field& Fields::section_impl(std::string name, std::unique_ptr<Fields> children, std::function<void()> validate,
                            std::string doc) {
  Field& field = make(std::move(name), "a map", std::move(doc));
  field.children = std::move(children);
  field.validate = std::move(validate);
  field.dump = [&field] { return config::dump(*field.children); };
  return field;
}

Field& Fields::optional_section_impl(std::string name, std::function<bool()> has,
                                     std::function<std::function<void()>(Fields&)> emplace,
                                     std::function<void(Fields&)> describe_fields, std::string doc) {
  Field& field = make(std::move(name), "a map (optional)", std::move(doc));
  field.parse = [emplace](const Node& node, const std::string& key) {
    if (node.kind == Node::Kind::null) return;
    Fields children;
    const auto validate = emplace(children);
    bind_section(children, validate, node, key);
  };
  field.dump = [has, emplace]() -> json {
    if (!has()) return nullptr;
    Fields children;
    emplace(children);
    return config::dump(children);
  };
  field.describe = std::move(describe_fields);
  return field;
}

Field& Fields::list_impl(std::string name, std::function<std::size_t()> size, std::function<void(std::size_t)> resize,
                         std::function<std::function<void()>(std::size_t, Fields&)> item, std::string doc) {
  Field& field = make(std::move(name), "a list of maps", std::move(doc));
  field.length = size;
  field.parse = [resize, item](const Node& node, const std::string& key) {
    if (node.kind != Node::Kind::list) mistyped(node, key, "a list of maps");
    resize(node.items.size());
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      Fields children;
      const auto validate = item(i, children);
      bind_section(children, validate, node.items[i], cat(key, '.', i));
    }
  };
  field.dump = [size, item] {
    json out = json::array();
    for (std::size_t i = 0; i < size(); ++i) {
      Fields children;
      item(i, children);
      out.push_back(config::dump(children));
    }
    return out;
  };
  return field;
}

json dump(const Fields& fields) {
  json out = json::object();
  for (const auto& field : fields.all()) {
    if (!field->has_effect || field->has_effect()) out[field->name] = field->dump();
  }
  return out;
}

}  // namespace rehyat::config
