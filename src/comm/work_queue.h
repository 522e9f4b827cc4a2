#pragma once

#include <cstdint>
#include <optional>

#include "comm/root_memory.h"

namespace rehyat::comm {

/// Hands out the jobs 0 ... count-1 to the ranks as they become free, each once, in order. Making it is collective;
/// `next` is not. The counter lies on rank 0 (see RootMemory), which works like every other rank.
class WorkQueue {
 public:
  WorkQueue(const Communicator& communicator, std::int64_t count);

  /// The next job, or nothing when all are taken.
  std::optional<std::int64_t> next();

 private:
  std::int64_t count_;
  RootMemory<std::int64_t> counter_;
};

}  // namespace rehyat::comm
