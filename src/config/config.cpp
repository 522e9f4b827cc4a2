#include "config/config.h"

#include <algorithm>
#include <charconv>

#include "config/binding.h"
#include "config/node.h"
#include "core/strings.h"
#include "files/atomic_file.h"
#include "files/text_file.h"

namespace rehyat::config {

using json = nlohmann::ordered_json;

std::string place(const Node& node, const std::string& name) {
  return name.empty() ? node.where : node.where + ": '" + name + "'";
}

void mistyped(const Node& node, const std::string& name, const std::string& expected) {
  if (node.kind == Node::Kind::broken) throw UsageError(node.text);
  throw UsageError({place(node, name), describe(node), expected, ""});
}

namespace {

std::string dotted(const std::string& prefix, const std::string& name) {
  return prefix.empty() ? name : prefix + "." + name;
}

void bind_struct(const Fields& fields, const Node& node, const std::string& prefix);

void bind_key(const Binding& key, const Node& node, const std::string& name) {
  key.parse(node, name);
  if (key.is_null && key.is_null()) return;
  for (const auto& [expectation, holds] : key.checks) {
    if (!holds()) throw UsageError({place(node, name), describe(node), expectation, ""});
  }
}

/// Throws where a key is given although the other settings leave it nothing to do.
void refuse_idle_keys(const Fields& fields, const Node& node, const std::string& prefix) {
  for (const auto& field : fields.all()) {
    const Binding& key = field->binding();
    if (!key.has_effect || key.has_effect()) continue;
    for (std::size_t i = 0; i < node.entries.size(); ++i) {
      if (node.entries[i].first != key.name) continue;
      throw UsageError(cat(node.key_where[i], ": '", dotted(prefix, key.name),
                           "': found a key without effect, expected it only ", key.only_when, "; remove it"));
    }
  }
}

void bind_struct(const Fields& fields, const Node& node, const std::string& prefix) {
  if (node.kind != Node::Kind::map && node.kind != Node::Kind::null) {
    mistyped(node, prefix, "a map of settings");
  }
  std::vector<std::string> names;
  for (const auto& field : fields.all()) names.push_back(field->name());
  for (std::size_t i = 0; i < node.entries.size(); ++i) {
    const std::string& key = node.entries[i].first;
    if (std::find(names.begin(), names.end(), key) != names.end()) continue;
    const std::string near = nearest(key, names);
    throw UsageError(cat(
        node.key_where[i], ": unknown key '", excerpt(dotted(prefix, key)), "'; ",
        near.empty() ? cat("expected one of ", join(names, ", ")) : cat("did you mean '", dotted(prefix, near), "'?")));
  }
  for (const auto& field : fields.all()) {
    Binding& key = field->binding();
    const Node* value = node.find(key.name);
    const std::string name = dotted(prefix, key.name);
    if (value == nullptr) {
      if (key.is_required)
        throw UsageError(cat(node.where, ": the key '", name, "' is missing; expected ", key.type, ": ", key.doc));
      if (key.children) bind_struct(*key.children, Node{.where = node.where}, name);  // its required keys
      continue;
    }
    key.is_given = true;
    if (key.children) {
      bind_section(*key.children, key.validate, *value, name);
    } else {
      bind_key(key, *value, name);
    }
  }
  refuse_idle_keys(fields, node, prefix);
}

}  // namespace

void bind_section(const Fields& children, const std::function<void()>& validate, const Node& node,
                  const std::string& name) {
  if (node.kind == Node::Kind::map) {
    bind_struct(children, node, name);
  } else if (node.kind == Node::Kind::null) {
    bind_struct(children, node, name);  // nothing is set, but its required keys are missed
  } else if (!children.shorthand_field().empty()) {
    for (const auto& field : children.all()) {
      if (field->name() == children.shorthand_field()) bind_key(field->binding(), node, dotted(name, field->name()));
    }
  } else {
    mistyped(node, name, "a map");
  }
  if (!validate) return;
  try {
    validate();
  } catch (const UsageError&) {
    throw;
  } catch (const UserError& error) {
    throw UsageError(cat(node.where, ": '", name, "': ", error.what()));
  }
}

void Section::bind(Fields& fields, const std::function<void()>& validate) const {
  bind_section(fields, validate, node_ ? *node_ : Node{}, name_);
}

Document Document::from_file(const std::filesystem::path& path, const std::vector<std::string>& overrides,
                             const Limits& limits) {
  std::string text;
  try {
    const std::string bytes = read_file(path, limits.bytes);
    require_text_format(bytes, path.string(), "a config in YAML");
    text = without_mark(bytes);
  } catch (const UserError& error) {
    throw UsageError(error.what());
  }
  return from_text(text, path.string(), overrides, limits);
}

Document Document::from_text(std::string_view text, std::string name, const std::vector<std::string>& overrides,
                             const Limits& limits) {
  auto root = std::make_shared<Node>(parse_yaml(text, name, limits));
  if (root->where.empty()) root->where = std::move(name);
  for (const std::string& item : overrides) apply_override(*root, item, limits);
  Document document;
  document.root_ = std::move(root);
  return document;
}

Document Document::from_json(const json& value, std::string name, const Limits& limits) {
  Document document;
  document.root_ = std::make_shared<Node>(node_from_json(value, name, limits));
  return document;
}

std::string Document::where(std::string_view dotted) const {
  const Node* at = root_.get();
  for (const std::string& part : split(dotted, '.')) {
    const Node* next = at->find(part);
    std::size_t index = 0;
    const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), index);
    if (error == std::errc() && end == part.data() + part.size() && index < at->items.size()) next = &at->items[index];
    if (next == nullptr) break;
    at = next;
  }
  return at == root_.get() ? "" : at->where;
}

void Document::bind(Fields& fields) const {
  bind_struct(fields, *root_, "");
}

}  // namespace rehyat::config
