#include <algorithm>
#include <cctype>
#include <charconv>
#include <cmath>
#include <limits>
#include <set>

#include "config/binding.h"
#include "config/config.h"
#include "config/node.h"
#include "config/user_path.h"
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
  const Node& text = as_text(node);
  if (text.kind != Node::Kind::scalar) mistyped(text, name, "text");
  value = text.text;
}
/// Whether one pair of quotes stands around all of it.
bool is_in_quotes(const std::string& text) {
  if (text.size() < 2 || (text.front() != '"' && text.front() != '\'')) return false;
  return text.find(text.front(), 1) == text.size() - 1;
}
void parse_value(const Node& node, const std::string& name, std::filesystem::path& value) {
  const Node& given = as_text(node);
  if (given.kind != Node::Kind::scalar) mistyped(given, name, "a path");
  std::string text = given.text;
  if (node.typed && is_in_quotes(text)) text = text.substr(1, text.size() - 2);
  value = given.verbatim ? std::filesystem::path(text) : user_path(text, place(node, name));
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
  if (!is_null(node)) parse_value(node, name, value.emplace());
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

/// Ties a key to the variable that it fills.
template <typename T>
Field& tie(Field& field, T& value) {
  Binding& binding = field.binding();
  binding.parse = [&value](const Node& node, const std::string& name) { parse_value(node, name, value); };
  binding.dump = [&value] { return dump_value(value); };
  if constexpr (std::is_arithmetic_v<T> && !std::is_same_v<T, bool>) {
    binding.number = [&value] { return static_cast<double>(value); };
  }
  if constexpr (requires { value.has_value(); }) binding.is_null = [&value] { return !value.has_value(); };
  if constexpr (requires { *value + 0.0; }) binding.number = [&value] { return static_cast<double>(*value); };
  if constexpr (requires { value->size(); }) binding.length = [&value] { return value->size(); };
  if constexpr (requires { value.size(); }) binding.length = [&value] { return value.size(); };
  if constexpr (std::is_same_v<T, std::string>) binding.text = [&value] { return value; };
  if constexpr (std::is_same_v<T, std::optional<std::string>>) binding.text = [&value] { return *value; };
  if constexpr (std::is_same_v<T, std::filesystem::path>) binding.length = [&value] { return value.native().size(); };
  return field;
}

/// What a key of this type holds, in the words of messages.
template <Value T>
std::string words_for() {
  if constexpr (requires(T value) { value.has_value(); }) {
    return words_for<typename T::value_type>() + " or null";
  } else if constexpr (std::is_same_v<T, bool>) {
    return "true or false";
  } else if constexpr (std::is_same_v<T, double>) {
    return "a number";
  } else if constexpr (std::is_arithmetic_v<T>) {
    return std::is_signed_v<T> ? "a whole number" : "a whole number >= 0";
  } else if constexpr (std::is_same_v<T, std::string>) {
    return "text";
  } else if constexpr (std::is_same_v<T, std::filesystem::path>) {
    return "a path";
  } else if constexpr (OneOf<T, std::map<std::string, std::string>>) {
    return "a map of texts";
  } else if constexpr (OneOf<T, std::vector<std::string>>) {
    return "a list of texts";
  } else {
    return OneOf<T, std::vector<double>> ? "a list of numbers" : "a list of whole numbers";
  }
}

std::string number_text(double value) {
  std::ostringstream out;
  out.precision(12);
  out << value;
  return out.str();
}

}  // namespace

Field::Field(std::string name, std::string type, std::string doc) : binding_(std::make_unique<Binding>()) {
  binding_->name = std::move(name);
  binding_->type = std::move(type);
  binding_->doc = std::move(doc);
}
Field::~Field() = default;

const std::string& Field::name() const {
  return binding_->name;
}
bool Field::is_given() const {
  return binding_->is_given;
}

Field& Field::above(double bound) {
  binding_->checks.emplace_back(cat("a number > ", number_text(bound)),
                                [b = binding_.get(), bound] { return b->number() > bound; });
  return *this;
}
Field& Field::at_least(double bound) {
  binding_->checks.emplace_back(cat("a number >= ", number_text(bound)),
                                [b = binding_.get(), bound] { return b->number() >= bound; });
  return *this;
}
Field& Field::at_most(double bound) {
  binding_->checks.emplace_back(cat("a number <= ", number_text(bound)),
                                [b = binding_.get(), bound] { return b->number() <= bound; });
  return *this;
}
Field& Field::between(double low, double high) {
  binding_->checks.emplace_back(cat("a number from ", number_text(low), " to ", number_text(high)),
                                [b = binding_.get(), low, high] { return b->number() >= low && b->number() <= high; });
  return *this;
}
Field& Field::one_of(std::vector<std::string> allowed) {
  const std::string expectation = "one of " + join(allowed, ", ");
  binding_->checks.emplace_back(expectation, [b = binding_.get(), allowed = std::move(allowed)] {
    return std::find(allowed.begin(), allowed.end(), b->text()) != allowed.end();
  });
  return *this;
}
Field& Field::not_empty() {
  binding_->checks.emplace_back("something that is not empty", [b = binding_.get()] { return b->length() > 0; });
  return *this;
}
Field& Field::required() {
  binding_->is_required = true;
  return *this;
}
Field& Field::only(std::string when, std::function<bool()> condition) {
  binding_->only_when = std::move(when);
  binding_->has_effect = std::move(condition);
  return *this;
}

Fields::Fields() = default;
Fields::~Fields() = default;
Fields::Fields(Fields&&) noexcept = default;

Field& Fields::make(std::string name, std::string type, std::string doc) {
  fields_.push_back(std::make_unique<Field>(std::move(name), std::move(type), std::move(doc)));
  return *fields_.back();
}

template <Value T>
Field& Fields::add(std::string name, T& value, std::string doc) {
  return tie(make(std::move(name), words_for<T>(), std::move(doc)), value);
}
template Field& Fields::add(std::string, bool&, std::string);
template Field& Fields::add(std::string, int&, std::string);
template Field& Fields::add(std::string, std::int64_t&, std::string);
template Field& Fields::add(std::string, std::uint64_t&, std::string);
template Field& Fields::add(std::string, double&, std::string);
template Field& Fields::add(std::string, std::string&, std::string);
template Field& Fields::add(std::string, std::filesystem::path&, std::string);
template Field& Fields::add(std::string, std::vector<std::int64_t>&, std::string);
template Field& Fields::add(std::string, std::vector<double>&, std::string);
template Field& Fields::add(std::string, std::vector<std::string>&, std::string);
template Field& Fields::add(std::string, std::map<std::string, std::string>&, std::string);
template Field& Fields::add(std::string, std::optional<std::int64_t>&, std::string);
template Field& Fields::add(std::string, std::optional<double>&, std::string);
template Field& Fields::add(std::string, std::optional<std::string>&, std::string);
template Field& Fields::add(std::string, std::optional<std::vector<std::int64_t>>&, std::string);

Field& Fields::add(std::string name, Section& value, std::string doc) {
  Field& field = make(std::move(name), "a map", std::move(doc));
  field.binding().parse = [&value](const Node& node, const std::string& name_of_key) {
    if (node.kind == Node::Kind::null) return;
    if (node.kind != Node::Kind::map) mistyped(node, name_of_key, "a map");
    value.node_ = std::make_shared<const Node>(node);
    value.name_ = name_of_key;
    value.shown_ = json_from_node(node);
  };
  field.binding().dump = [&value] { return value.shown_; };
  return field;
}

namespace {

std::int64_t bytes_of(const Node& node, const std::string& name_of_key, const char* expected) {
  if (node.kind != Node::Kind::scalar) mistyped(node, name_of_key, expected);
  try {
    return parse_bytes(node.text, place(node, name_of_key));
  } catch (const UserError& error) {
    throw UsageError(error.what());
  }
}

}  // namespace

Field& Fields::bytes(std::string name, std::int64_t& value, std::string doc) {
  static constexpr const char* expected = "a size such as 500GB";
  Field& field = tie(make(std::move(name), expected, std::move(doc)), value);
  field.binding().parse = [&value](const Node& node, const std::string& key) { value = bytes_of(node, key, expected); };
  return field;
}

Field& Fields::bytes(std::string name, std::optional<std::int64_t>& value, std::string doc) {
  static constexpr const char* expected = "a size such as 500GB, or null";
  Field& field = tie(make(std::move(name), expected, std::move(doc)), value);
  field.binding().parse = [&value](const Node& node, const std::string& key) {
    value = node.kind == Node::Kind::null ? std::nullopt : std::optional(bytes_of(node, key, expected));
  };
  return field;
}

void Fields::shorthand(std::string field) {
  shorthand_ = std::move(field);
}

Field& Fields::number(std::string name, std::function<std::int64_t()> get, std::function<void(std::int64_t)> set,
                      std::string doc) {
  Field& field = make(std::move(name), "a whole number", std::move(doc));
  field.binding().parse = [set](const Node& node, const std::string& key) {
    set(parse_integer<std::int64_t>(node, key));
  };
  field.binding().dump = [get] { return json(get()); };
  field.binding().number = [get] { return static_cast<double>(get()); };
  return field;
}

Field& Fields::choice_impl(std::string name, std::function<std::size_t()> get, std::function<void(std::size_t)> set,
                           std::vector<std::string> labels, std::string doc) {
  Field& field = make(std::move(name), join(labels, " | "), std::move(doc));
  field.binding().parse = [set, labels](const Node& node, const std::string& key) {
    const Node& given = as_text(node);
    for (std::size_t i = 0; i < labels.size(); ++i) {
      if (given.kind == Node::Kind::scalar && given.text == labels[i]) return set(i);
    }
    const std::string near = nearest(given.text, labels);
    throw UsageError({place(node, key), describe(node), "one of " + join(labels, ", "),
                      near.empty() ? "" : "did you mean '" + near + "'?"});
  };
  field.binding().dump = [get, labels]() -> json {
    return get() < labels.size() ? json(labels[get()]) : json(nullptr);
  };
  return field;
}

Field& Fields::section_impl(std::string name, std::unique_ptr<Fields> children, std::function<void()> validate,
                            std::string doc) {
  Field& field = make(std::move(name), "a map", std::move(doc));
  field.binding().children = std::move(children);
  field.binding().validate = std::move(validate);
  field.binding().dump = [&field] { return config::dump(*field.binding().children); };
  return field;
}

Field& Fields::optional_section_impl(std::string name, std::function<bool()> has,
                                     std::function<std::function<void()>(Fields&)> emplace,
                                     std::function<void(Fields&)> describe_fields, std::string doc) {
  Field& field = make(std::move(name), "a map (optional)", std::move(doc));
  field.binding().parse = [emplace](const Node& node, const std::string& key) {
    if (node.kind == Node::Kind::null) return;
    Fields children;
    const auto validate = emplace(children);
    bind_section(children, validate, node, key);
  };
  field.binding().dump = [has, emplace]() -> json {
    if (!has()) return nullptr;
    Fields children;
    emplace(children);
    return config::dump(children);
  };
  field.binding().describe = std::move(describe_fields);
  return field;
}

Field& Fields::list_impl(std::string name, std::function<std::size_t()> size, std::function<void(std::size_t)> resize,
                         std::function<std::function<void()>(std::size_t, Fields&)> item, std::string doc) {
  Field& field = make(std::move(name), "a list of maps", std::move(doc));
  field.binding().length = size;
  field.binding().parse = [resize, item](const Node& node, const std::string& key) {
    if (node.kind != Node::Kind::list) mistyped(node, key, "a list of maps");
    resize(node.items.size());
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      Fields children;
      const auto validate = item(i, children);
      bind_section(children, validate, node.items[i], cat(key, '.', i));
    }
  };
  field.binding().dump = [size, item] {
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
    const Binding& key = field->binding();
    if (!key.has_effect || key.has_effect()) out[key.name] = key.dump();
  }
  return out;
}

}  // namespace rehyat::config
