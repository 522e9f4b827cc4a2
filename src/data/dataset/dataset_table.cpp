#include "data/dataset/dataset_table.h"

#include <algorithm>
#include <iomanip>
#include <map>
#include <sstream>

#include "core/strings.h"

namespace rehyat::data {
namespace {

using json = nlohmann::ordered_json;

constexpr std::size_t kMaxReasons = 20;  // in the table; the lists beside it name every clip

/// Counts of reasons, the most frequent first.
json counted(const std::map<std::string, std::int64_t>& reasons) {
  std::vector<std::pair<std::string, std::int64_t>> sorted(reasons.begin(), reasons.end());
  std::ranges::stable_sort(sorted, [](const auto& a, const auto& b) { return a.second > b.second; });
  json out = json::array();
  std::int64_t others = 0;
  for (const auto& [why, clips] : sorted) {
    if (out.size() < kMaxReasons) {
      out.push_back({{"why", why}, {"clips", clips}});
    } else {
      others += clips;
    }
  }
  if (others > 0) out.push_back({{"why", "other reasons"}, {"clips", others}});
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

json dataset_table(const DataConfig& config, const ClipList& clips, const ClipOutcomes& outcomes,
                   const std::set<std::size_t>& validation) {
  struct Count {
    std::set<std::size_t> clips;
    std::int64_t windows = 0, validation = 0;
  };
  std::vector<Count> counts(config.bucket_count());
  for (const ClipOutcomes::Sample& sample : outcomes.samples) {
    Count& count = counts[sample.bucket];
    count.clips.insert(sample.clip);
    ++count.windows;
    if (validation.contains(sample.clip)) ++count.validation;
  }
  json buckets = json::array();
  for (std::size_t i = 0; i < counts.size(); ++i) {
    const DataConfig bucket = config.of_bucket(i);
    buckets.push_back({{"size", bucket.size},
                       {"frames", bucket.frames},
                       {"clips", counts[i].clips.size()},
                       {"windows", counts[i].windows},
                       {"validation_windows", counts[i].validation}});
  }
  std::map<std::string, std::int64_t> dropped, quarantined;
  for (const json& clip : outcomes.dropped) ++dropped[clip.at("why")];
  for (const json& clip : outcomes.quarantine) ++quarantined[bare(clip.at("reason"), clips.find(clip.at("file")))];
  return {{"buckets", buckets}, {"dropped", counted(dropped)}, {"quarantined", counted(quarantined)}};
}

std::vector<std::string> table_lines(const json& table) {
  std::vector<std::string> lines = {row({"bucket", "clips", "windows", "held out"})};
  for (const json& bucket : table.at("buckets")) {
    const std::string name = cat(bucket.at("size")[0], "x", bucket.at("size")[1], ", ", bucket.at("frames"), " frames");
    lines.push_back(
        row({name, bucket.at("clips").dump(), bucket.at("windows").dump(), bucket.at("validation_windows").dump()}));
  }
  for (const char* kind : {"dropped", "quarantined"}) {
    for (const json& reason : table.at(kind))
      lines.push_back(cat(row({kind, reason.at("clips").dump()}), "   ", reason.at("why").get<std::string>()));
  }
  return lines;
}

}  // namespace rehyat::data
