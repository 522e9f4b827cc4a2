#include "data/dataset/split.h"

#include <algorithm>
#include <cmath>
#include <map>

#include "core/rng.h"

namespace rehyat::data {

std::set<std::size_t> held_out(const std::vector<GroupedClip>& clips, double share, std::uint64_t seed) {
  std::vector<std::vector<std::size_t>> groups;
  std::map<std::string, std::size_t> place;
  for (const GroupedClip& item : clips) {
    const auto [known, fresh] = place.emplace(item.group, groups.size());
    if (item.group.empty() || fresh) {
      groups.push_back({item.clip});
    } else {
      groups[known->second].push_back(item.clip);
    }
  }
  if (share <= 0 || groups.size() < 2) return {};
  const auto wanted = std::clamp<std::size_t>(
      static_cast<std::size_t>(std::llround(share * static_cast<double>(clips.size()))), 1, clips.size() - 1);
  Rng(seed, "data.split").shuffle(groups);
  std::set<std::size_t> out;
  for (const auto& group : groups)
    if (out.size() + group.size() <= wanted) out.insert(group.begin(), group.end());
  if (out.empty()) {
    const auto& smallest = *std::ranges::min_element(groups, {}, [](const auto& group) { return group.size(); });
    out.insert(smallest.begin(), smallest.end());
  }
  return out;
}

}  // namespace rehyat::data
