#pragma once

#include <compare>
#include <deque>
#include <functional>
#include <future>
#include <optional>
#include <utility>
#include <vector>

#include "finetune/flow_points.h"
#include "tensor/host_copy.h"
#include "tensor/io_thread.h"

namespace rehyat::finetune {

/// One of the batches that a rank runs at once.
struct Turn {
  std::int64_t step = 0, micro_batch = 0;
  auto operator<=>(const Turn&) const = default;
};

/// Reads, draws and copies the next batches to the device on a thread of its own while a step runs. A batch depends on
/// its turn alone, and so on no timing.
class FlowFeed {
 public:
  /// `make` is called on the thread, and on no other while this lives. `next` gives the turn that comes after one;
  /// nothing after the last. `poll` is called while the owner's thread waits (IoThread).
  FlowFeed(at::Device device, std::function<std::vector<FlowSample>(Turn)> make,
           std::function<std::optional<Turn>(Turn)> next, std::function<void()> poll = {});

  /// The batch of a turn, on the device. Throws what `make` throws for it.
  FlowBatch get(Turn turn);
  double seconds_of_waiting() const { return thread_.seconds_of_waiting(); }

 private:
  struct Sent {
    DeviceCopy x, timesteps, text, target;
  };
  Sent send(Turn turn) const;

  CopyStream copies_;
  std::function<std::vector<FlowSample>(Turn)> make_;
  std::function<std::optional<Turn>(Turn)> next_;
  std::deque<std::pair<Turn, std::future<Sent>>> coming_;
  IoThread thread_;  ///< last: its jobs use the others
};

}  // namespace rehyat::finetune
