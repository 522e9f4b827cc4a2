#include "files/json.h"

#include <algorithm>
#include <iterator>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/strings.h"
#include "core/utf8.h"
#include "files/atomic_file.h"
#include "files/json_fault.h"
#include "files/text_file.h"

namespace rehyat {
namespace {

using json = nlohmann::ordered_json;

/// Reads a text for the parser and tells how far it has come, which the parser tells on errors of its own only.
class Place {
 public:
  using iterator_category = std::input_iterator_tag;
  using value_type = char;
  using difference_type = std::ptrdiff_t;
  using pointer = const char*;
  using reference = const char&;

  Place(const char* at, const char** furthest) : at_(at), furthest_(furthest) {}
  reference operator*() const { return *at_; }
  Place& operator++() {
    *furthest_ = ++at_;
    return *this;
  }
  bool operator==(const Place& other) const { return at_ == other.at_; }

 private:
  const char* at_;
  const char** furthest_;
};

/// Builds the value from the parser's events. The library's own builder searches all earlier names of an object at each
/// new one, which takes hours for a million of them.
class Builder : public nlohmann::json_sax<json> {
 public:
  /// `line`: what the text's first line is called in messages.
  Builder(std::string_view text, const std::string& where, std::optional<std::size_t> line, const JsonLimits& limits)
      : text_(text), where_(where), line_(line), limits_(limits), read_(text.data()) {}

  bool null() override { return put(nullptr); }
  bool boolean(bool value) override { return put(value); }
  bool number_integer(number_integer_t value) override { return put(value); }
  bool number_unsigned(number_unsigned_t value) override { return put(value); }
  bool number_float(number_float_t value, const string_t&) override { return put(value); }
  bool string(string_t& value) override { return put(std::move(value)); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override {
    open(json::object());
    return true;
  }
  bool start_array(std::size_t) override {
    open(json::array());
    return true;
  }
  bool end_object() override { return close(); }
  bool end_array() override { return close(); }
  bool key(string_t& name) override {
    Level& level = levels_.back();
    if (!level.names.insert(name).second)
      refuse_at(start_of_string(text_, read() - 1), cat("the key '", excerpt(name), "' twice in one object"),
                "it once");
    if (level.names.size() > limits_.members)
      refuse(cat("an object of more than ", limits_.members, " names"), "fewer");
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception& error) override {
    const JsonFault fault = find_json_fault(text_, position, error.what(), levels_.empty() && values_ > 0);
    refuse_at(fault.at, "text that is not JSON: " + fault.found, std::string(limits_.what));
  }

  json build() {
    const char* end = text_.data() + text_.size();
    json::sax_parse(Place(text_.data(), &read_), Place(end, &read_), this);
    return std::move(root_);
  }
  [[noreturn]] void refuse_at(std::size_t at, const std::string& found, const std::string& expected) const {
    throw UserError({position(at), found, expected, std::string(limits_.hint)});
  }

 private:
  struct Level {
    json* value;
    std::unordered_set<std::string> names;
  };

  std::size_t read() const { return static_cast<std::size_t>(read_ - text_.data()); }
  std::string position(std::size_t at) const {
    const std::string_view before = text_.substr(0, std::min(at, text_.size()));
    if (!line_) return where_ + text_position(before);
    return cat(where_, ':', *line_ + static_cast<std::size_t>(std::ranges::count(before, '\n')),
               text_position(before.substr(before.rfind('\n') + 1)).substr(2));
  }
  [[noreturn]] void refuse(const std::string& found, const std::string& expected) const {
    refuse_at(read(), found, expected);
  }
  /// A child's address stays right while it is open: its parent gets no other child meanwhile.
  json* place(json value) {
    if (++values_ > limits_.values) refuse(cat("more than ", limits_.values, " values"), std::string(limits_.what));
    if (levels_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    json& parent = *levels_.back().value;
    if (parent.is_array()) {
      parent.get_ref<json::array_t&>().push_back(std::move(value));
      return &parent.get_ref<json::array_t&>().back();
    }
    auto& object = parent.get_ref<json::object_t&>();
    static_cast<json::object_t::Container&>(object).emplace_back(std::move(key_), std::move(value));
    return &object.back().second;
  }
  bool put(json value) {
    place(std::move(value));
    return true;
  }
  void open(json value) {
    if (levels_.size() >= limits_.depth)
      refuse(cat("values nested more than ", limits_.depth, " deep"), std::string(limits_.what));
    levels_.push_back({place(std::move(value)), {}});
  }
  bool close() {
    levels_.pop_back();
    return true;
  }

  std::string_view text_;
  const std::string& where_;
  std::optional<std::size_t> line_;
  const JsonLimits& limits_;
  const char* read_;
  std::vector<Level> levels_;
  std::string key_;
  json root_;
  std::size_t values_ = 0;
};

json parse(std::string_view bytes, const std::string& where, std::optional<std::size_t> line,
           const JsonLimits& limits) {
  require_text_format(bytes, where, limits.what);
  const std::string_view text = without_mark(bytes);
  Builder builder(text, where, line, limits);
  // The library takes a NUL for the end: what follows would go unread.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos)
    builder.refuse_at(nul, "the character NUL", std::string(limits.what));
  if (const auto bad = invalid_utf8(text)) builder.refuse_at(*bad, "bytes that are not UTF-8", "UTF-8");
  return builder.build();
}

}  // namespace

json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits) {
  return parse(text, where, std::nullopt, limits);
}

json parse_json_line(std::string_view text, const std::filesystem::path& file, std::size_t line,
                     const JsonLimits& limits) {
  return parse(text, file.string(), line, limits);
}

json read_json(const std::filesystem::path& path, const JsonLimits& limits) {
  return parse_json(read_file(path, limits.bytes), path.string(), limits);
}

json read_json_object(const std::filesystem::path& path, const JsonLimits& limits) {
  json value = read_json(path, limits);
  if (!value.is_object())
    throw UserError({path.string(), cat("JSON that is no object (", value.type_name(), ")"), "an object",
                     std::string(limits.hint)});
  return value;
}

std::optional<json> parse_json_if(std::string_view text) {
  try {
    return parse_json(text, "");
  } catch (const UserError&) {
    return std::nullopt;
  }
}

std::string describe_json(const json& value) {
  if (value.is_object() || value.is_array()) return value.is_object() ? "an object" : "a list";
  return cat("the value ", excerpt(value.dump(-1, ' ', false, json::error_handler_t::replace)));
}

template <typename T>
T value_at(const json& object, const char* key, T absent, const std::string& where) {
  const auto found = object.find(key);
  if (found == object.end()) return absent;
  const char* expected = std::is_same_v<T, bool>          ? "true or false"
                         : std::is_same_v<T, std::string> ? "a text"
                                                          : "a whole number";
  if (!is_value_of<T>(*found)) throw UserError({cat(where, ": \"", key, '"'), describe_json(*found), expected, ""});
  return found->get<T>();
}
template bool value_at(const json&, const char*, bool, const std::string&);
template std::string value_at(const json&, const char*, std::string, const std::string&);
template std::int64_t value_at(const json&, const char*, std::int64_t, const std::string&);

}  // namespace rehyat
