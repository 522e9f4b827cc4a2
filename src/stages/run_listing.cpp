#include "stages/run_listing.h"

#include <algorithm>
#include <cstdlib>
#include <utility>

#include "core/error.h"

namespace rehyat::stages {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kFingerprintStart = 8;  // characters in a folder's name

/// Of checkpoints/step-00000123 and the like.
std::optional<std::int64_t> newest_step(const fs::path& checkpoints) {
  std::optional<std::int64_t> newest;
  std::error_code error;
  for (fs::directory_iterator at(checkpoints, error), end; !error && at != end; at.increment(error)) {
    const std::string name = at->path().filename().string();
    if (name.starts_with("step-")) newest = std::max<std::int64_t>(newest.value_or(0), std::atoll(name.c_str() + 5));
  }
  return newest;
}

/// What may not be looked at is not there.
bool can_be_seen(const fs::path& path) {
  std::error_code ignored;
  return fs::exists(path, ignored);
}

std::optional<StageOnDisk> stage_on_disk(const fs::path& folder) {
  const auto name = parse_folder_name(folder.filename().string());
  if (!name || !can_be_seen(folder / "identity.json")) return std::nullopt;
  StageOnDisk out;
  std::tie(out.stage, out.fingerprint_start) = *name;
  out.folder = folder;
  out.complete = can_be_seen(folder / "stage.json");
  out.step = newest_step(folder / "checkpoints");
  try {
    out.identity = saved_identity(folder);
  } catch (const UserError&) {
    return std::nullopt;  // a damaged one explains nothing
  }
  return out;
}

}  // namespace

std::optional<std::pair<std::string, std::string>> parse_folder_name(const std::string& name) {
  const auto dash = name.rfind('-');
  if (dash == std::string::npos || dash == 0) return std::nullopt;
  const std::string end = name.substr(dash + 1);
  if (end.size() != kFingerprintStart || end.find_first_not_of("0123456789abcdef") != std::string::npos)
    return std::nullopt;
  return std::pair(name.substr(0, dash), end);
}

RunListing::RunListing(const fs::path& run_folder) {
  std::vector<std::pair<std::string, std::string>> links;  // name, target
  std::error_code error;
  for (fs::directory_iterator at(run_folder, error), end; !error && at != end; at.increment(error)) {
    std::error_code ignored;
    if (at->is_symlink(ignored)) {
      links.emplace_back(at->path().filename().string(), fs::read_symlink(at->path(), ignored).string());
    } else if (auto found = stage_on_disk(at->path())) {
      folders_.push_back(std::move(*found));
    }
  }
  std::ranges::sort(folders_, {}, &StageOnDisk::folder);
  std::ranges::sort(links);
  for (StageOnDisk& each : folders_) {
    for (const auto& [name, target] : links)
      if (target == each.folder.filename().string()) each.links.push_back(name);
  }
}

std::vector<StageOnDisk> RunListing::of_stage(std::string_view stage) const {
  std::vector<StageOnDisk> out;
  std::ranges::copy_if(folders_, std::back_inserter(out), [&](const StageOnDisk& each) { return each.stage == stage; });
  return out;
}

const StageOnDisk* RunListing::by_fingerprint(std::string_view fingerprint) const {
  const auto found = std::ranges::find_if(folders_, [&](const StageOnDisk& each) {
    return fingerprint.size() > kFingerprintStart && fingerprint.starts_with(each.fingerprint_start);
  });
  return found == folders_.end() ? nullptr : &*found;
}

}  // namespace rehyat::stages
