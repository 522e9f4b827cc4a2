#pragma once

#include "comm/root_memory.h"

namespace rehyat::comm {

/// Sums over all ranks that any of them adds to (`add`) and reads (`read`) while all are at work: counts for a line of
/// progress. Making it is collective.
using Tally = RootMemory<double>;

}  // namespace rehyat::comm
