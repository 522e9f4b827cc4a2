#include "config/node.h"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/parser.h>
#include <yaml-cpp/yaml.h>

#include <algorithm>
#include <map>
#include <sstream>

#include "core/strings.h"
#include "core/units.h"
#include "core/utf8.h"

namespace rehyat::config {
namespace {

/// Builds the tree from the parser's events: yaml-cpp's own tree would keep one of two repeated keys in silence.
class Builder : public YAML::EventHandler {
 public:
  Builder(std::string name, const Limits& limits) : name_(std::move(name)), limits_(limits) {}

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override { leaf(make(Node::Kind::null, mark), anchor); }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    if (++aliases_ > limits_.aliases) fail(mark, cat("more than ", limits_.aliases, " aliases"), "fewer");
    const auto found = anchors_.find(anchor);
    if (found == anchors_.end()) fail(mark, "an alias inside of what it stands for", "an alias of something complete");
    nodes_ += count(found->second);
    check_nodes(mark);
    attach(found->second);
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    Node node = make(Node::Kind::scalar, mark);
    node.text = value;
    node.quoted = tag == "!";
    if (!node.quoted && (value == "~" || value == "null" || value.empty())) node.kind = Node::Kind::null;
    leaf(std::move(node), anchor);
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    open(make(Node::Kind::list, mark), mark, anchor);
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string&, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    open(make(Node::Kind::map, mark), mark, anchor);
  }
  void OnMapEnd() override { close(); }

  Node take() { return std::move(root_); }

 private:
  struct Level {
    Node node;
    YAML::anchor_t anchor = 0;
    bool has_key = false;
    std::string key, key_where;
  };

  std::string position(const YAML::Mark& mark) const { return cat(name_, ':', mark.line + 1, ':', mark.column + 1); }
  [[noreturn]] void fail(const YAML::Mark& mark, const std::string& found, const std::string& expected) const {
    throw UsageError({position(mark), found, expected, ""});
  }
  static std::size_t count(const Node& node) {
    std::size_t total = 1;
    for (const Node& item : node.items) total += count(item);
    for (const auto& entry : node.entries) total += count(entry.second);
    return total;
  }
  void check_nodes(const YAML::Mark& mark) const {
    if (nodes_ > limits_.nodes) fail(mark, cat("more than ", limits_.nodes, " values"), "a config file");
  }
  Node make(Node::Kind kind, const YAML::Mark& mark) {
    ++nodes_;
    check_nodes(mark);
    Node node;
    node.kind = kind;
    node.where = position(mark);
    return node;
  }
  void open(Node node, const YAML::Mark& mark, YAML::anchor_t anchor) {
    if (levels_.size() >= static_cast<std::size_t>(limits_.depth))
      fail(mark, cat("more than ", limits_.depth, " levels"), "fewer");
    if (!levels_.empty() && levels_.back().node.kind == Node::Kind::map && !levels_.back().has_key)
      fail(mark, "a list or map as a key", "a name");
    levels_.push_back({std::move(node), anchor, false, "", ""});
  }
  void close() {
    Level level = std::move(levels_.back());
    levels_.pop_back();
    leaf(std::move(level.node), level.anchor);
  }
  void leaf(Node node, YAML::anchor_t anchor) {
    if (anchor != 0) anchors_[anchor] = node;
    attach(std::move(node));
  }
  /// Gives the node to the list or map that is open.
  void attach(Node node) {
    if (levels_.empty()) {
      root_ = std::move(node);
      return;
    }
    Level& level = levels_.back();
    if (level.node.kind == Node::Kind::list) {
      level.node.items.push_back(std::move(node));
    } else if (!level.has_key) {
      if (node.kind != Node::Kind::scalar) throw UsageError({node.where, describe(node) + " as a key", "a name", ""});
      if (level.node.find(node.text) != nullptr)
        throw UsageError({node.where, "the key '" + excerpt(node.text) + "' a second time", "it once", ""});
      level.key = node.text;
      level.key_where = node.where;
      level.has_key = true;
    } else {
      level.node.entries.emplace_back(level.key, std::move(node));
      level.node.key_where.push_back(level.key_where);
      level.has_key = false;
    }
  }

  std::string name_;
  Limits limits_;
  std::size_t nodes_ = 0, aliases_ = 0;
  std::vector<Level> levels_;
  std::map<YAML::anchor_t, Node> anchors_;
  Node root_;
};

/// yaml-cpp's parser recurses: what nests deeper than the limit in flow style must not reach it.
void check_flow_depth(std::string_view text, const std::string& name, const Limits& limits) {
  std::size_t depth = 0, deepest = 0;
  for (const char c : text) {
    if (c == '[' || c == '{') deepest = std::max(deepest, ++depth);
    if ((c == ']' || c == '}') && depth > 0) --depth;
  }
  // Block lists nest on one line, "- - - - x": a run of markers at its start, nowhere else.
  std::size_t markers = 0;
  bool at_start = true;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const char c = text[i], next = i + 1 < text.size() ? text[i + 1] : '\n';
    if (c == '\n') {
      markers = 0;
      at_start = true;
    } else if (at_start && (c == '-' || c == '?' || c == ':') && (next == ' ' || next == '\t' || next == '\n')) {
      deepest = std::max(deepest, ++markers);
    } else if (c != ' ' && c != '\t') {
      at_start = false;
    }
  }
  if (deepest > 8 * static_cast<std::size_t>(limits.depth)) {
    throw UsageError({name, cat("values nested ", deepest, " deep"), cat("at most ", limits.depth, " levels"), ""});
  }
}

/// YAML allows no control characters, and yaml-cpp takes some for the end of the file: the rest would go unread. Bytes
/// that are not UTF-8 would come back to light in the first message or file that quotes them.
void check_characters(std::string_view text, const std::string& name) {
  const std::size_t bad = invalid_utf8(text).value_or(text.size());
  for (std::size_t i = 0; i < bad; ++i) {
    const char c = text[i];
    if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') {
      throw UsageError({name + text_position(text.substr(0, i)), cat("the control character ", static_cast<int>(c)),
                        "text", "write it as an escape in double quotes, and save the file as UTF-8"});
    }
  }
  if (bad < text.size())
    throw UsageError({name + text_position(text.substr(0, bad)), "bytes that are not UTF-8", "text in UTF-8",
                      "save the file as UTF-8"});
}

}  // namespace

const Node* Node::find(std::string_view key) const {
  for (const auto& [name, node] : entries) {
    if (name == key) return &node;
  }
  return nullptr;
}

const Node& as_text(const Node& node) {
  return node.typed ? *node.typed : node;
}

bool is_null(const Node& node) {
  if (node.kind != Node::Kind::null || !node.typed) return node.kind == Node::Kind::null;
  const std::string& text = node.typed->text;  // a comment of YAML is none in the shell
  return text.empty() || text == "null" || text == "~";
}

std::string describe(const Node& node) {
  if (node.typed && !node.typed->text.empty() && node.kind != Node::Kind::list && node.kind != Node::Kind::map)
    return describe(*node.typed);
  switch (node.kind) {
    case Node::Kind::null:
    case Node::Kind::broken:
      return "nothing";
    case Node::Kind::scalar:
      return cat('"', excerpt(node.text), '"');
    case Node::Kind::list:
      return cat("a list of ", node.items.size());
    case Node::Kind::map:
      return "a map";
  }
  return "";
}

Node parse_yaml(std::string_view text, const std::string& name, const Limits& limits) {
  if (text.size() > limits.bytes) {
    throw UsageError({name, human_bytes(static_cast<std::int64_t>(text.size())),
                      cat("at most ", human_bytes(static_cast<std::int64_t>(limits.bytes))), ""});
  }
  check_characters(text, name);
  check_flow_depth(text, name, limits);
  // yaml-cpp takes the end of a file behind a line's end for a closing quote; behind a comment it does not.
  std::istringstream in(std::string(text) + "\n#");
  try {
    YAML::Parser parser(in);
    Builder builder(name, limits);
    if (!parser.HandleNextDocument(builder)) return builder.take();
    Builder second(name, limits);
    if (parser.HandleNextDocument(second))
      throw UsageError({name, "more than one YAML document", "one", "remove what follows `---`"});
    return builder.take();
  } catch (const YAML::Exception& error) {
    throw UsageError(cat(name, ':', error.mark.line + 1, ':', error.mark.column + 1, ": not YAML: ", error.msg));
  }
}

namespace {

Node plain_node(const nlohmann::ordered_json& source, const std::string& name, const Limits& limits, int depth,
                std::size_t& nodes) {
  if (depth > limits.depth)
    throw UsageError({name, cat("values nested more than ", limits.depth, " deep"), "fewer levels", ""});
  if (++nodes > limits.nodes) throw UsageError({name, cat("more than ", limits.nodes, " values"), "fewer", ""});
  Node node;
  node.where = name;
  node.verbatim = true;
  if (source.is_object()) {
    node.kind = Node::Kind::map;
    for (const auto& [key, value] : source.items()) {
      node.entries.emplace_back(key, plain_node(value, name, limits, depth + 1, nodes));
      node.key_where.push_back(name);
    }
  } else if (source.is_array()) {
    node.kind = Node::Kind::list;
    for (const auto& value : source) node.items.push_back(plain_node(value, name, limits, depth + 1, nodes));
  } else if (!source.is_null()) {
    node.kind = Node::Kind::scalar;
    node.quoted = source.is_string();
    node.text = source.is_string() ? source.get<std::string>() : source.dump();
  }
  return node;
}

}  // namespace

Node node_from_json(const nlohmann::ordered_json& source, const std::string& name, const Limits& limits) {
  std::size_t nodes = 0;
  return plain_node(source, name, limits, 0, nodes);
}

nlohmann::ordered_json json_from_node(const Node& node) {
  switch (node.kind) {
    case Node::Kind::null:
      return nullptr;
    case Node::Kind::broken:
      return node.typed ? node.typed->text : "";
    case Node::Kind::scalar: {
      if (node.quoted) return node.text;
      const auto plain = nlohmann::ordered_json::parse(node.text, nullptr, false);
      return plain.is_discarded() ? nlohmann::ordered_json(node.text) : plain;
    }
    case Node::Kind::list: {
      nlohmann::ordered_json out = nlohmann::ordered_json::array();
      for (const Node& item : node.items) out.push_back(json_from_node(item));
      return out;
    }
    case Node::Kind::map:
      break;
  }
  nlohmann::ordered_json out = nlohmann::ordered_json::object();
  for (const auto& [key, value] : node.entries) out[key] = json_from_node(value);
  return out;
}

namespace {

Node override_value(const std::string& text, const std::string& where, const Limits& limits) {
  Node value;
  try {
    value = parse_yaml(text, where, limits);
  } catch (const UsageError& error) {
    value.kind = Node::Kind::broken;
    value.text = error.what();
  }
  value.where = where;
  value.typed =
      std::make_shared<const Node>(Node{.kind = Node::Kind::scalar, .text = text, .quoted = true, .where = where});
  return value;
}

}  // namespace

void apply_override(Node& root, const std::string& override_text, const Limits& limits) {
  const std::string where = "override '" + excerpt(override_text, 200) + "'";
  check_characters(override_text, where);
  const std::size_t equals = override_text.find('=');
  if (equals == std::string::npos || equals == 0) throw UsageError({where, "no name=value", "dotted.key=value", ""});
  Node value = override_value(override_text.substr(equals + 1), where, limits);
  Node* at = &root;
  for (const std::string& part : split(std::string_view(override_text).substr(0, equals), '.')) {
    if (part.empty()) throw UsageError({where, "an empty name", "dotted.key=value", ""});
    at->typed.reset();  // an earlier override's, of which a part is replaced
    // A name below a list replaces it: the list may be a short form, `blocks: [0, 3]` for `blocks: {list: [0, 3]}`.
    if (at->kind == Node::Kind::list && part.find_first_not_of("0123456789-") == std::string::npos) {
      std::size_t index = 0;
      std::istringstream digits(part);
      if (!(digits >> index) || !digits.eof() || index >= at->items.size()) {
        const std::string found = "'" + part + "'" + (at->items.empty() ? " of an empty list" : "");
        throw UsageError({where, found,
                          at->items.empty() ? "the whole list" : cat("an index from 0 to ", at->items.size() - 1), ""});
      }
      at = &at->items[index];
      continue;
    }
    if (at->kind != Node::Kind::map) *at = Node{.kind = Node::Kind::map, .where = where};
    auto found =
        std::find_if(at->entries.begin(), at->entries.end(), [&](const auto& entry) { return entry.first == part; });
    if (found == at->entries.end()) {
      at->entries.emplace_back(part, Node{.where = where});
      at->key_where.push_back(where);
      found = std::prev(at->entries.end());
    }
    at = &found->second;
  }
  *at = std::move(value);
}

}  // namespace rehyat::config
