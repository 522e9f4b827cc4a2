#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace rehyat::data {

enum class Split { train, validation };

struct GroupedClip {
  std::size_t clip = 0;  ///< the clip's number
  std::string group;     ///< clips of one group show the same scene; "": the clip is a group of its own
};

/// Draws the clips that are held out, whole groups at a time, so that no scene is on both sides. They are as many as
/// the share asks for, or fewer where groups do not fit. A share above 0 holds out at least one group and never all.
/// The draw depends on the seed and on the clips in their order.
std::set<std::size_t> held_out(const std::vector<GroupedClip>& clips, double share, std::uint64_t seed);

}  // namespace rehyat::data
