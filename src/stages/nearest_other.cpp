#include "stages/nearest_other.h"

#include <algorithm>

#include "core/strings.h"
#include "stages/lineage.h"

namespace rehyat::stages {
namespace {

std::string state_of(const StageOnDisk& found) {
  if (found.complete) return "complete";
  return found.step ? cat("stopped after step ", *found.step) : "not complete";
}

}  // namespace

std::string nearest_other(Run& run, const Stage& stage) {
  const RunListing listing(run.config().run.dir);
  const StageFolder own = run.folder(stage.name());
  const Lineage expected = lineage_of(stage.name(), own.identity(), listing);
  std::optional<StageOnDisk> nearest;
  std::vector<Difference> fewest;
  std::int64_t others = 0;
  for (const StageOnDisk& other : listing.of_stage(stage.name())) {
    if (other.folder.filename() == own.folder().filename()) continue;
    ++others;
    auto differences = differences_of(lineage_of(other.stage, other.identity, listing), expected);
    const bool nearer = differences.size() < fewest.size() ||
                        (differences.size() == fewest.size() && other.complete && !nearest->complete);
    if (nearest && !nearer) continue;
    nearest = other;
    fewest = std::move(differences);
  }
  if (!nearest) return "";
  const Stage::InputChanges changes = stage.input_changes(run, nearest->folder);
  std::string text = to_string(fewest);
  if (!changes.text.empty()) {
    // The inputs one by one say more than a checksum over all of them.
    std::erase_if(fewest,
                  [&](const Difference& each) { return std::ranges::count(changes.instead_of, each.setting) > 0; });
    text = to_string(fewest);
    text += (text.empty() ? "" : "; ") + changes.text;
  }
  const std::string name = cat(nearest->folder.string(), " (", state_of(*nearest), ")");
  return cat(others > 1 ? cat("of ", others, " others the nearest, ", name, ",") : name,
             " was made from something else (", text, ")");
}

}  // namespace rehyat::stages
