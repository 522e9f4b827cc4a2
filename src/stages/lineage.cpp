#include "stages/lineage.h"

#include <algorithm>
#include <set>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "data/dataset/manifest.h"
#include "models/hybrid.h"

namespace rehyat::stages {
namespace {

using json = nlohmann::ordered_json;

constexpr std::size_t kLongest = 120;  // of a value in a message
constexpr const char* kNothing = "nothing";
constexpr const char* kHybrid = "hybrid";
constexpr const char* kFormat = "format of ";

/// "3 blocks rehyat(tc=2,to=1)" of a list of converted blocks.
std::string blocks_in_words(const json& value) {
  if (value.empty()) return "no block";
  try {
    std::vector<std::string> parts;
    for (const auto& [attention, count] : models::attentions_of(models::block_map_from_json(value, kHybrid)))
      parts.push_back(cat(count, count == 1 ? " block " : " blocks ", ops::to_string(attention.spec)));
    return join(parts, ", ");
  } catch (const UserError&) {
    return value.dump();  // of a kind that this program does not know
  }
}

class Flattener {
 public:
  Flattener(const RunListing& run, Lineage& out) : run_(run), out_(out) {}

  void add_stage(const std::string& stage, const Identity& identity) {
    // Its own settings first: what the stages before name again belongs to this one.
    std::vector<const StageOnDisk*> made_from;
    for (const auto& [key, value] : identity.items()) {
      if (const StageOnDisk* before = stage_of(value)) {
        made_from.push_back(before);
      } else {
        add(stage, name_of(stage, key), value);
      }
    }
    for (const StageOnDisk* before : made_from) {
      if (out_.stages.emplace(before->stage, before->folder.filename().string()).second)
        add_stage(before->stage, before->identity);
    }
  }

 private:
  const StageOnDisk* stage_of(const json& value) const {
    return value.is_string() ? run_.by_fingerprint(value.get<std::string>()) : nullptr;
  }

  static std::string name_of(const std::string& stage, const std::string& key) {
    if (key == "format") return kFormat + stage;
    static const auto names = data::identity_names();
    const auto known = names.find(key);
    return stage == "prepare" && known != names.end() ? known->second : key;
  }

  void add(const std::string& stage, const std::string& name, const json& value) {
    if (value.is_object() && !value.empty()) {
      for (const auto& [key, item] : value.items()) add(stage, cat(name, ".", key), item);
      return;
    }
    const bool blocks = name == kHybrid && value.is_array();
    out_.settings.emplace(name, Lineage::Value{blocks ? blocks_in_words(value) : value.dump(), stage});
  }

  const RunListing& run_;
  Lineage& out_;
};

/// The stages that `a` was made from and `b` was not.
std::set<std::string> only_in(const Lineage& a, const Lineage& b) {
  std::set<std::string> out;
  for (const auto& [stage, folder] : a.stages)
    if (!b.stages.contains(stage)) out.insert(stage);
  return out;
}

std::string text_of(const Lineage& lineage, const std::string& setting) {
  const auto found = lineage.settings.find(setting);
  return found == lineage.settings.end() ? kNothing : found->second.text;
}

}  // namespace

Lineage lineage_of(const std::string& name, const Identity& identity, const RunListing& run) {
  Lineage out;
  Flattener(run, out).add_stage(name, identity);
  return out;
}

std::vector<Difference> differences_of(const Lineage& found, const Lineage& expected) {
  const std::set<std::string> more = only_in(found, expected), fewer = only_in(expected, found);
  std::vector<Difference> out, formats;
  std::set<std::string> names;
  for (const Lineage* each : {&found, &expected})
    for (const auto& [name, value] : each->settings)
      if (!more.contains(value.stage) && !fewer.contains(value.stage)) names.insert(name);
  for (const std::string& name : names) {
    Difference difference{name, text_of(found, name), text_of(expected, name)};
    if (difference.found != difference.expected)
      (name.starts_with(kFormat) ? formats : out).push_back(std::move(difference));
  }
  // Another version of the program names its settings in its own way.
  if (!formats.empty()) return formats;
  if (out.empty()) {
    for (const std::string& stage : more) out.push_back({stage, found.stages.at(stage), kNothing});
    for (const std::string& stage : fewer) out.push_back({stage, kNothing, expected.stages.at(stage)});
  }
  return out;
}

std::string to_string(const std::vector<Difference>& differences, std::size_t most) {
  std::vector<std::string> parts;
  for (const Difference& each : differences) {
    if (parts.size() == most) break;
    parts.push_back(
        cat(each.setting, ": found ", excerpt(each.found, kLongest), ", expected ", excerpt(each.expected, kLongest)));
  }
  if (differences.size() > most) parts.push_back(cat("and ", differences.size() - most, " more"));
  return join(parts, "; ");
}

std::vector<std::string> told_apart(const std::vector<StageOnDisk>& folders, const RunListing& run) {
  constexpr std::size_t kMost = 4;
  std::vector<Lineage> lineages;
  for (const StageOnDisk& each : folders) lineages.push_back(lineage_of(each.stage, each.identity, run));
  std::set<std::string> settings;
  for (const Lineage& each : lineages)
    for (const Difference& difference : differences_of(each, lineages.front())) settings.insert(difference.setting);
  std::vector<std::string> out;
  for (const Lineage& each : lineages) {
    std::vector<std::string> parts;
    for (const std::string& setting : settings) {
      if (parts.size() == kMost) break;
      const auto stage = each.stages.find(setting);
      parts.push_back(
          cat(setting, " ", excerpt(stage == each.stages.end() ? text_of(each, setting) : stage->second, 40)));
    }
    if (settings.size() > kMost) parts.push_back(cat("and ", settings.size() - kMost, " more"));
    out.push_back(join(parts, ", "));
  }
  return out;
}

}  // namespace rehyat::stages
