#pragma once

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "config/config.h"

/// The parsed form of a config file; internal to src/config.
namespace rehyat::config {

struct Node {
  enum class Kind { null, scalar, list, map };
  Kind kind = Kind::null;
  std::string text;     ///< of a scalar
  bool quoted = false;  ///< a quoted scalar is a string, never a number, boolean or null
  std::string where;    ///< "file:line:column"
  std::vector<Node> items;
  std::vector<std::pair<std::string, Node>> entries;
  std::vector<std::string> key_where;  ///< of `entries`

  const Node* find(std::string_view key) const;
};

/// "a map", "the list of 3", "\"text\"": what a message says was found.
std::string describe(const Node& node);

/// Parses one YAML document within the limits; throws UsageError.
Node parse_yaml(std::string_view text, const std::string& name, const Limits& limits);
/// Throws UsageError beyond the limits.
Node node_from_json(const nlohmann::ordered_json& json, const std::string& name, const Limits& limits);
/// The plain value: a scalar that is not quoted is a number, a boolean or null where it reads as one.
nlohmann::ordered_json json_from_node(const Node& node);
/// Puts `dotted.key=value` into the tree, making maps on the way.
void apply_override(Node& root, const std::string& override_text, const Limits& limits);

/// "where: 'dotted.key'": the start of a message about a value.
std::string place(const Node& node, const std::string& name);
[[noreturn]] void mistyped(const Node& node, const std::string& name, const std::string& expected);
/// Gives `node` to a section's fields, or to the one field that a short form stands for, then validates.
void bind_section(const Fields& children, const std::function<void()>& validate, const Node& node,
                  const std::string& name);

}  // namespace rehyat::config
