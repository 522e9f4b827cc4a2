#include "comm/idle_ranks.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/log.h"
#include "core/strings.h"

namespace rehyat::comm {

std::string idle_ranks(const SharedWork& work, int ranks) {
  const std::int64_t pieces = work.pieces;
  if (pieces <= 0 || pieces % ranks == 0) return "";
  const std::int64_t largest = (pieces + ranks - 1) / ranks, enough = (pieces + largest - 1) / largest;
  std::vector<std::string> ways;
  if (!work.setting.empty()) ways.push_back(cat("set ", work.setting, " to a multiple of ", ranks));
  if (enough < ranks)
    ways.push_back(cat("start ", enough, enough == 1 ? " rank, which is" : " ranks, which are", " as fast"));
  if (ways.empty()) return "";
  const std::int64_t idle = std::max<std::int64_t>(ranks - pieces, 0);
  const double lost = 1 - static_cast<double>(pieces) / static_cast<double>(largest * ranks);
  return cat(work.where, ": found ", pieces, ' ', work.name, " on ", ranks, " ranks: ",
             idle > 0 ? cat(idle, idle == 1 ? " rank has" : " ranks have", " nothing to do") : "the shares are uneven",
             ", ", std::lround(100 * lost), " % of all ranks' time is lost; ", join(ways, ", or "));
}

void warn_of_idle_ranks(const SharedWork& work, const Communicator& world) {
  if (world.rank() != 0) return;
  if (const std::string sentence = idle_ranks(work, world.size()); !sentence.empty()) log::warn(sentence);
}

}  // namespace rehyat::comm
