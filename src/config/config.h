#pragma once

#include <algorithm>
#include <concepts>
#include <cstdint>
#include <filesystem>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/error.h"

/// Strict configuration. A settings struct lists its fields once, and from that list come parsing, dotted overrides,
/// documentation, JSON and the resolved YAML:
///
///     struct DistillConfig {
///       double lr = 1e-3;
///       Loss loss = Loss::l1;
///       PhiConfig phi;
///       void fields(config::Fields& f) {
///         f.add("lr", lr, "peak learning rate").above(0);
///         f.choice("loss", loss, {{"l1", Loss::l1}, {"mse", Loss::mse}}, "what is minimised");
///         f.section("phi", phi, "feature map");
///       }
///       void validate() const;  // optional: throws UserError on combinations that make no sense
///     };
///
/// Unknown, repeated, mistyped, missing and out-of-range keys are UsageErrors with file:line:column and the nearest
/// valid name.
namespace rehyat::config {

class Fields;
struct Binding;  // what a key does; defined in config/binding.h
struct Node;     // a parsed YAML (or JSON) value with its position; defined in config/node.h

/// Limits against hostile YAML.
struct Limits {
  std::size_t bytes = 1 << 20;
  int depth = 32;
  std::size_t nodes = 100'000;
  std::size_t aliases = 64;
};

/// One documented key. The constraint setters are checked after parsing, with the key's position in the message.
class Field {
 public:
  Field(std::string name, std::string type, std::string doc);
  ~Field();

  Field& above(double bound);               ///< value > bound
  Field& at_least(double bound);            ///< value >= bound
  Field& at_most(double bound);             ///< value <= bound
  Field& between(double low, double high);  ///< low <= value <= high
  Field& one_of(std::vector<std::string> names);
  Field& not_empty();  ///< string or list
  Field& required();   ///< a missing key is an error
  /// The key has an effect only where `condition` holds, which may read the struct's other fields: given elsewhere it
  /// is an error, and it is left out of the resolved config. `when` follows "only ": "with kind rehyat".
  Field& only(std::string when, std::function<bool()> condition);

  const std::string& name() const;
  bool is_given() const;  ///< whether the document that was bound names the key
  Binding& binding() { return *binding_; }
  const Binding& binding() const { return *binding_; }

 private:
  std::unique_ptr<Binding> binding_;
};

template <typename T, typename... Types>
concept OneOf = (std::same_as<T, Types> || ...);
/// What one key may hold. A path is one on this machine as a user writes it (config/user_path.h).
template <typename T>
concept Value = OneOf<T, bool, int, std::int64_t, std::uint64_t, double, std::string, std::filesystem::path,
                      std::vector<std::int64_t>, std::vector<double>, std::vector<std::string>,
                      std::map<std::string, std::string>, std::optional<std::int64_t>, std::optional<double>,
                      std::optional<std::string>, std::optional<std::vector<std::int64_t>>>;

/// A section whose fields only its reader knows, such as those of a kind that another key names. It holds the parsed
/// values, and `load` binds them later, with the same errors as any other section's.
class Section {
 public:
  /// Whether the key was there.
  explicit operator bool() const { return node_ != nullptr; }
  /// Fills a struct; where the key was not there, all its fields keep their defaults. Throws UsageError.
  template <typename Struct>
  Struct load() const;
  /// What the resolved config says from now on, in place of what was given.
  void show(nlohmann::ordered_json complete) { shown_ = std::move(complete); }

 private:
  friend class Fields;
  void bind(Fields& fields, const std::function<void()>& validate) const;

  std::shared_ptr<const Node> node_;
  std::string name_;
  nlohmann::ordered_json shown_;
};

/// The list of fields of one settings struct, made by its `fields` member.
class Fields {
 public:
  Fields();
  ~Fields();
  Fields(Fields&&) noexcept;

  /// A key that fills `value`, whose content now is the default.
  template <Value T>
  Field& add(std::string name, T& value, std::string doc);
  Field& add(std::string name, Section& value, std::string doc);
  /// "500GB" or a number of bytes.
  Field& bytes(std::string name, std::int64_t& value, std::string doc);
  Field& bytes(std::string name, std::optional<std::int64_t>& value, std::string doc);  ///< or null

  /// A whole number that is kept elsewhere than in a variable.
  Field& number(std::string name, std::function<std::int64_t()> get, std::function<void(std::int64_t)> set,
                std::string doc);

  /// One of several values by name, such as those of an enum.
  template <typename Value>
  Field& choice(std::string name, Value& value, std::vector<std::pair<std::string, Value>> names, std::string doc) {
    std::vector<std::string> labels;
    std::vector<Value> values;
    for (auto& [label, item] : names) {
      labels.push_back(label);
      values.push_back(item);
    }
    return choice_impl(
        std::move(name),
        [&value, values] {
          return static_cast<std::size_t>(std::find(values.begin(), values.end(), value) - values.begin());
        },
        [&value, values](std::size_t index) { value = values[index]; }, std::move(labels), std::move(doc));
  }

  /// A nested struct.
  template <typename Struct>
  Field& section(std::string name, Struct& value, std::string doc) {
    auto children = std::make_unique<Fields>();
    value.fields(*children);
    std::function<void()> validate;
    if constexpr (requires { value.validate(); }) validate = [&value] { value.validate(); };
    return section_impl(std::move(name), std::move(children), std::move(validate), std::move(doc));
  }

  /// A nested struct that may be absent: `value` is set only when the key is there.
  template <typename Struct>
  Field& section(std::string name, std::optional<Struct>& value, std::string doc) {
    return optional_section_impl(
        std::move(name), [&value] { return value.has_value(); },
        [&value](Fields& f) -> std::function<void()> {
          if (!value) value.emplace();
          value->fields(f);
          if constexpr (requires { value->validate(); }) return [&value] { value->validate(); };
          return {};
        },
        [](Fields& f) {
          // The documentation reads the defaults after this call, so that they have to outlive it.
          static thread_local Struct defaults;
          defaults = Struct{};
          defaults.fields(f);
        },
        std::move(doc));
  }

  /// A list of structs.
  template <typename Struct>
  Field& list(std::string name, std::vector<Struct>& value, std::string doc) {
    return list_impl(
        std::move(name), [&value] { return value.size(); },
        [&value](std::size_t n) {
          value.clear();
          value.resize(n);
        },
        [&value](std::size_t i, Fields& f) -> std::function<void()> {
          value[i].fields(f);
          if constexpr (requires { value[i].validate(); }) return [&value, i] { value[i].validate(); };
          return {};
        },
        std::move(doc));
  }

  /// Lets a scalar or a list stand for the whole struct: `blocks: [0, 3]` for `blocks: {list: [0, 3]}`.
  void shorthand(std::string field);

  const std::vector<std::unique_ptr<Field>>& all() const { return fields_; }
  const std::string& shorthand_field() const { return shorthand_; }

 private:
  Field& make(std::string name, std::string type, std::string doc);
  /// `get` and `set` take the number of a label; one beyond the last is no label.
  Field& choice_impl(std::string name, std::function<std::size_t()> get, std::function<void(std::size_t)> set,
                     std::vector<std::string> labels, std::string doc);
  Field& section_impl(std::string name, std::unique_ptr<Fields> children, std::function<void()> validate,
                      std::string doc);
  Field& optional_section_impl(std::string name, std::function<bool()> has,
                               std::function<std::function<void()>(Fields&)> emplace,
                               std::function<void(Fields&)> describe, std::string doc);
  Field& list_impl(std::string name, std::function<std::size_t()> size, std::function<void(std::size_t)> resize,
                   std::function<std::function<void()>(std::size_t, Fields&)> item, std::string doc);

  std::vector<std::unique_ptr<Field>> fields_;
  std::string shorthand_;
};

/// A parsed document before it is bound to a struct: one file plus dotted overrides (`distill.lr=1e-3`), which win.
///
/// What follows an override's `=` came through a shell, which has taken its quotes, so that settings of text and paths
/// take it as it stands: `#`, `: `, `*`, quotes and blanks are text, and nothing is the empty text. Quotes around a
/// whole path are taken off. Every other setting reads YAML: numbers, true and false, `[a, b]`, `{a: b}`. Where a
/// setting may be null, nothing, `null` and `~` are null.
class Document {
 public:
  static Document from_file(const std::filesystem::path& path, const std::vector<std::string>& overrides = {},
                            const Limits& limits = {});
  static Document from_text(std::string_view text, std::string name, const std::vector<std::string>& overrides = {},
                            const Limits& limits = {});
  static Document from_json(const nlohmann::ordered_json& json, std::string name, const Limits& limits = {});

  /// Where the value of a dotted key stands, "file:line:column" or "override '...'"; of the nearest section around it
  /// where the key itself is not given; empty where there is none. A number in the key counts the items of a list.
  std::string where(std::string_view dotted) const;

  /// Fills `fields`; every key of the document must be known. Throws UsageError.
  void bind(Fields& fields) const;

 private:
  std::shared_ptr<const Node> root_;
};

/// Binds a whole struct and validates it.
template <typename Struct>
Struct load(const Document& document) {
  Struct value;
  Fields fields;
  value.fields(fields);
  document.bind(fields);
  if constexpr (requires { value.validate(); }) value.validate();
  return value;
}

template <typename Struct>
Struct Section::load() const {
  Struct value;
  Fields fields;
  value.fields(fields);
  std::function<void()> validate;
  if constexpr (requires { value.validate(); }) validate = [&value] { value.validate(); };
  bind(fields, validate);
  return value;
}

nlohmann::ordered_json dump(const Fields& fields);
std::string yaml(const nlohmann::ordered_json& json);
/// One line a key: dotted name, type, default, documentation.
std::string documentation(const Fields& fields, std::string_view prefix = "");

template <typename Struct>
nlohmann::ordered_json to_json(const Struct& value) {
  Struct copy = value;
  Fields fields;
  copy.fields(fields);
  return dump(fields);
}

/// The inverse of to_json; `name` stands in messages for the file the JSON came from.
template <typename Struct>
Struct from_json(const nlohmann::ordered_json& json, std::string name) {
  return load<Struct>(Document::from_json(json, std::move(name)));
}

}  // namespace rehyat::config
