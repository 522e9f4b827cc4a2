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
  enum class Kind { null, scalar, list, map, broken };
  Kind kind = Kind::null;
  std::string text;       ///< of a scalar; of what is broken, the sentence that says why
  bool quoted = false;    ///< a quoted scalar is a string, never a number, boolean or null
  bool verbatim = false;  ///< written by this program, not by a user: nothing in it stands for something else
  std::string where;      ///< "file:line:column"
  std::vector<Node> items;
  std::vector<std::pair<std::string, Node>> entries;
  std::vector<std::string> key_where;  ///< of `entries`
  /// Of an override: what follows its `=`, as a scalar. The node itself is the same as YAML, broken where it is none.
  std::shared_ptr<const Node> typed;

  const Node* find(std::string_view key) const;
};

/// The node as a setting of text reads it.
const Node& as_text(const Node& node);
/// Whether an optional setting reads it as null.
bool is_null(const Node& node);
/// "a map", "a list of 3", "\"text\"": what a message says was found.
std::string describe(const Node& node);

/// Parses one YAML document within the limits; throws UsageError.
Node parse_yaml(std::string_view text, const std::string& name, const Limits& limits);
/// The nodes of JSON that this program wrote. Throws UsageError beyond the limits.
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
