#include "files/json.h"

#include <algorithm>
#include <unordered_set>
#include <utility>
#include <vector>

#include "core/error.h"
#include "core/strings.h"
#include "core/utf8.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

using json = nlohmann::ordered_json;

/// Builds the value from the parser's events. The library's own builder searches all earlier names of an object at each
/// new one, which takes hours for a million of them.
class Builder : public nlohmann::json_sax<json> {
 public:
  Builder(std::string_view text, const std::string& where, const JsonLimits& limits)
      : text_(text), where_(where), limits_(limits) {}

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
    if (!level.names.insert(name).second) refuse(cat("the key '", excerpt(name), "' twice in one object"), "it once");
    if (level.names.size() > limits_.members)
      refuse(cat("an object of more than ", limits_.members, " names"), "fewer");
    key_ = std::move(name);
    return true;
  }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::detail::exception&) override {
    const std::string_view before = text_.substr(0, std::min(position == 0 ? 0 : position - 1, text_.size()));
    refuse("text that is not JSON", std::string(limits_.what), text_position(before));
  }

  json take() { return std::move(root_); }

 private:
  struct Level {
    json* value;
    std::unordered_set<std::string> names;
  };

  [[noreturn]] void refuse(const std::string& found, const std::string& expected, const std::string& at = "") const {
    throw UserError({where_ + at, found, expected, std::string(limits_.hint)});
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
  const JsonLimits& limits_;
  std::vector<Level> levels_;
  std::string key_;
  json root_;
  std::size_t values_ = 0;
};

}  // namespace

json parse_json(std::string_view text, const std::string& where, const JsonLimits& limits) {
  // The library takes a NUL for the end: what follows would go unread.
  if (const std::size_t nul = text.find('\0'); nul != std::string_view::npos) {
    throw UserError({where + text_position(text.substr(0, nul)), "the character NUL", std::string(limits.what),
                     std::string(limits.hint)});
  }
  if (const auto bad = invalid_utf8(text)) {
    throw UserError(
        {where + text_position(text.substr(0, *bad)), "bytes that are not UTF-8", "UTF-8", std::string(limits.hint)});
  }
  Builder builder(text, where, limits);
  json::sax_parse(text, &builder);
  return builder.take();
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

}  // namespace rehyat
