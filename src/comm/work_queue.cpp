#include "comm/work_queue.h"

#include "core/log.h"

namespace rehyat::comm {

WorkQueue::WorkQueue(const Communicator& communicator, std::int64_t count) : count_(count), counter_(communicator, 1) {}

std::optional<std::int64_t> WorkQueue::next() {
  const std::int64_t job = counter_.fetch_and_add(0, 1);
  if (job >= count_) return std::nullopt;
  log::debug("work queue: took job ", job, " of ", count_);
  return job;
}

}  // namespace rehyat::comm
