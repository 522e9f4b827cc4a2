#include "files/found_source.h"

#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"

namespace rehyat {
namespace {

std::vector<std::string> those_there(const std::filesystem::path& folder, const std::vector<std::string>& names) {
  std::vector<std::string> out;
  std::error_code ignored;
  for (const std::string& name : names)
    if (std::filesystem::exists(folder / name, ignored)) out.push_back(name);
  return out;
}

}  // namespace

std::optional<std::filesystem::path> find_source(const std::filesystem::path& folder, const SourceNames& names) {
  std::string taken;
  std::vector<std::string> beside;
  for (const auto& rank : names.ranks) {
    const std::vector<std::string> found = those_there(folder, rank);
    if (taken.empty() && found.size() > 1)
      throw UserError(
          {folder.string(), cat(join(found, " and "), ", which all may be ", names.what), "one of them", names.choose});
    if (!taken.empty()) beside.insert(beside.end(), found.begin(), found.end());
    if (taken.empty() && !found.empty()) taken = found.front();
  }
  if (taken.empty()) return std::nullopt;
  for (const std::string& name : those_there(folder, names.unread)) beside.push_back(name);
  if (!beside.empty())
    log::info((folder / taken).string(), ": taken as ", names.what, ' ', names.rule,
              "; not read: ", join(beside, ", "));
  return folder / taken;
}

bool has_source(const std::filesystem::path& folder, const SourceNames& names) {
  for (const auto& rank : names.ranks)
    if (!those_there(folder, rank).empty()) return true;
  return false;
}

std::string only_unread(const std::filesystem::path& folder, const SourceNames& names) {
  const std::vector<std::string> found = those_there(folder, names.unread);
  return found.empty() ? "" : "; found only " + join(found, ", ");
}

}  // namespace rehyat
