#pragma once

#include <cstdint>
#include <string>

#include "comm/communicator.h"

namespace rehyat::comm {

/// Equal pieces of work that the ranks share, all of them waiting until the last piece is done.
struct SharedWork {
  std::string where;  ///< whose work: "[distill]"
  std::int64_t pieces = 0;
  std::string name;     ///< of the pieces: "blocks"
  std::string setting;  ///< the key that says how many there are; empty where none does
};

/// Returns the sentence that says how many ranks have nothing to do, what share of all ranks' time is lost and how to
/// mend it. It is empty where the pieces can be shared out evenly, where there are none, and where nothing helps.
std::string idle_ranks(const SharedWork& work, int ranks);

/// Logs that sentence as a warning, once, on rank 0. Not collective.
void warn_of_idle_ranks(const SharedWork& work, const Communicator& world);

}  // namespace rehyat::comm
