#pragma once

#include <cstdint>
#include <memory>
#include <optional>

#include "comm/communicator.h"

namespace rehyat::comm {

/// Hands out the jobs 0 ... count-1 to the ranks as they become free, each once, in order. Collective to make and to
/// destroy; `next` is not. A counter on rank 0 is advanced by one-sided MPI, so rank 0 works like every other; it must
/// call `poll` of the communicator at its steps, for some networks serve the counter only inside of MPI's calls.
class WorkQueue {
 public:
  WorkQueue(const Communicator& communicator, std::int64_t count);
  ~WorkQueue();
  WorkQueue(const WorkQueue&) = delete;
  WorkQueue& operator=(const WorkQueue&) = delete;

  /// The next job, or nothing when all are taken.
  std::optional<std::int64_t> next();

 private:
  struct Window;
  std::int64_t count_;
  std::unique_ptr<Window> window_;
};

}  // namespace rehyat::comm
