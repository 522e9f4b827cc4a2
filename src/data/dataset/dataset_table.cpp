#include "data/dataset/dataset_table.h"

#include <algorithm>
#include <iomanip>
#include <map>
#include <sstream>
#include <utility>

#include "core/strings.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

constexpr std::size_t kMaxReasons = 20;  // in the table; the lists beside it name every clip

/// Counts of reasons, the most frequent first.
std::vector<ReasonCount> counted(const std::map<std::string, std::int64_t>& reasons) {
  std::vector<std::pair<std::string, std::int64_t>> sorted(reasons.begin(), reasons.end());
  std::ranges::stable_sort(sorted, [](const auto& a, const auto& b) { return a.second > b.second; });
  std::vector<ReasonCount> out;
  std::int64_t others = 0;
  for (const auto& [why, clips] : sorted) {
    if (out.size() < kMaxReasons) {
      out.push_back({why, clips});
    } else {
      others += clips;
    }
  }
  if (others > 0) out.push_back({"other reasons", others});
  return out;
}

/// Without the clip's own name in front, so that the same damage of several clips counts as one reason.
std::string bare(const std::string& reason, const ClipFile* clip) {
  const std::string name = clip ? clip->shown() + ": " : "";
  return reason.starts_with(name) ? reason.substr(name.size()) : reason;
}

std::string row(const std::vector<std::string>& cells) {
  std::ostringstream out;
  out << "  " << std::left << std::setw(24) << cells[0] << std::right;
  for (std::size_t i = 1; i < cells.size(); ++i) out << std::setw(i + 1 == cells.size() ? 12 : 9) << cells[i];
  return out.str();
}

}  // namespace

DatasetTable dataset_table(const DataConfig& config, const ClipList& clips, const ClipOutcomes& outcomes,
                           const std::set<std::size_t>& validation) {
  DatasetTable out;
  for (std::size_t i = 0; i < config.bucket_count(); ++i) {
    const DataConfig bucket = config.of_bucket(i);
    out.buckets.push_back({bucket.size, bucket.frames, 0, 0, 0});
  }
  std::set<std::pair<std::size_t, std::size_t>> counted_clips;  // bucket, clip
  for (const ClipOutcomes::Sample& sample : outcomes.samples) {
    BucketCount& bucket = out.buckets[sample.bucket];
    if (counted_clips.emplace(sample.bucket, sample.clip).second) ++bucket.clips;
    ++bucket.windows;
    if (validation.contains(sample.clip)) ++bucket.validation_windows;
  }
  std::map<std::string, std::int64_t> dropped, quarantined;
  for (const json& clip : outcomes.dropped) ++dropped[clip.at("why")];
  for (const json& clip : outcomes.quarantine) ++quarantined[bare(clip.at("reason"), clips.find(clip.at("file")))];
  out.dropped = counted(dropped);
  out.quarantined = counted(quarantined);
  return out;
}

std::vector<std::string> table_lines(const DatasetTable& table) {
  std::vector<std::string> lines = {row({"bucket", "clips", "windows", "held out"})};
  for (const BucketCount& bucket : table.buckets) {
    lines.push_back(row({cat(bucket.size[0], "x", bucket.size[1], ", ", bucket.frames, " frames"), cat(bucket.clips),
                         cat(bucket.windows), cat(bucket.validation_windows)}));
  }
  const auto add = [&](const char* kind, const std::vector<ReasonCount>& reasons) {
    for (const ReasonCount& reason : reasons) lines.push_back(cat(row({kind, cat(reason.clips)}), "   ", reason.why));
  };
  add("dropped", table.dropped);
  add("quarantined", table.quarantined);
  return lines;
}

}  // namespace rehyat::data
