#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace rehyat::data {

enum class Split { train, validation };

/// A clip by its number, and the group of clips that show the same scene; "" = a clip of its own.
struct GroupedClip {
  std::size_t clip = 0;
  std::string group;
};

/// Which clips are held out: a seeded draw of whole groups, so that no scene is on both sides. As many clips as the
/// share asks for, or fewer where groups do not fit; where a share is asked for at least one group and never all. The
/// draw depends on the seed and on the clips in their order.
std::set<std::size_t> held_out(const std::vector<GroupedClip>& clips, double share, std::uint64_t seed);

}  // namespace rehyat::data
