#pragma once

#include <functional>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "config/config.h"

/// What stands behind a documented key; internal to src/config.
namespace rehyat::config {

struct Binding {
  std::string name, type, doc;
  bool is_required = false, is_given = false;
  std::string only_when;
  std::function<bool()> has_effect;                                   ///< of a key with only()
  std::vector<std::pair<std::string, std::function<bool()>>> checks;  ///< text of the expectation, test
  std::function<void(const Node&, const std::string& dotted)> parse;  ///< `dotted` names the key in messages
  std::function<nlohmann::ordered_json()> dump;
  std::function<bool()> is_null;          ///< of an optional value; its checks do not count while it is null
  std::function<double()> number;         ///< of a number
  std::function<std::size_t()> length;    ///< of a text or list
  std::function<std::string()> text;      ///< of a text
  std::unique_ptr<Fields> children;       ///< of a section
  std::function<void()> validate;         ///< of a section with a validate()
  std::function<void(Fields&)> describe;  ///< of an optional section: its fields with their defaults
};

}  // namespace rehyat::config
