#include "train/host_arrays.h"

#include <c10/core/Event.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

#include <algorithm>
#include <array>
#include <optional>

namespace rehyat::train {
namespace {

constexpr std::int64_t kAlignment = 64;  // numbers: 256 bytes, as the device's own tensors begin
constexpr std::size_t kSlots = 3;        // shards that are on the device at once

std::int64_t rounded_up(std::int64_t numbers) {
  return (numbers + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

/// The streams between which a shard goes, and what each slot of the device waits for.
class HostArrays::Lanes {
 public:
  explicit Lanes(at::Device device)
      : guard_(device.type()),
        device_(device),
        in_(guard_.getStreamFromGlobalPool(device)),
        out_(guard_.getStreamFromGlobalPool(device)) {
    for (std::size_t i = 0; i < kSlots; ++i)
      events_.push_back({c10::Event(device.type()), c10::Event(device.type()), c10::Event(device.type())});
  }

  /// What `work` begins on these streams comes after all that the device was given before.
  void begin() {
    c10::Event before(device_.type());
    before.record(guard_.getStream(device_));
    before.block(in_);
    before.block(out_);
    for (auto& slot : events_) slot[kBack].record(out_);
  }
  template <typename Copy>
  void bring(std::size_t slot, const Copy& copy) {
    events_[slot][kBack].block(in_);  // the slot is free once its last shard is back
    const c10::StreamGuard on(in_);
    copy();
    events_[slot][kThere].record(in_);
  }
  void work_on(std::size_t slot, const std::function<void()>& work) {
    const c10::Stream current = guard_.getStream(device_);
    events_[slot][kThere].block(current);
    work();
    events_[slot][kDone].record(current);
  }
  template <typename Copy>
  void take_back(std::size_t slot, const Copy& copy) {
    events_[slot][kDone].block(out_);
    const c10::StreamGuard on(out_);
    copy();
    events_[slot][kBack].record(out_);
  }
  /// Waits until all are back, here and on the current stream, so that the slots' memory may be used again.
  void end() {
    for (auto& slot : events_) {
      slot[kBack].block(guard_.getStream(device_));
      slot[kBack].synchronize();
    }
  }

 private:
  enum { kThere, kDone, kBack };
  c10::impl::VirtualGuardImpl guard_;
  at::Device device_;
  c10::Stream in_, out_;
  std::vector<std::array<c10::Event, 3>> events_;
};

HostArrays::HostArrays(const std::vector<std::vector<std::int64_t>>& sizes, at::Device device,
                       std::int64_t shard_numbers)
    : sizes_(sizes), device_(device) {
  for (std::size_t i = 0; i < sizes_.size(); ++i) {
    const std::int64_t numbers = rounded_up(c10::multiply_integers(sizes_[i]));
    // The first with room.
    auto shard = std::find_if(shards_.begin(), shards_.end(),
                              [&](const Shard& s) { return s.numbers + numbers <= shard_numbers; });
    if (shard == shards_.end()) shard = shards_.insert(shards_.end(), Shard());
    shard->which.push_back(i);
    shard->offsets.push_back(shard->numbers);
    shard->numbers += numbers;
  }
  if (device_.is_cuda()) lanes_ = std::make_unique<Lanes>(device_);
}

HostArrays::~HostArrays() = default;

HostArray HostArrays::zeros() const {
  HostArray out;
  out.tensors.resize(sizes_.size());
  const auto options = at::TensorOptions().dtype(at::kFloat).pinned_memory(device_.is_cuda());
  for (const Shard& shard : shards_) {
    out.shards.push_back(at::empty({shard.numbers}, options).zero_());
    for (std::size_t i = 0; i < shard.which.size(); ++i) {
      const auto& size = sizes_[shard.which[i]];
      out.tensors[shard.which[i]] =
          out.shards.back().narrow(0, shard.offsets[i], c10::multiply_integers(size)).view(size);
    }
  }
  return out;
}

void HostArrays::pass(const std::vector<Passed>& arrays, const Work& work) const {
  const at::NoGradGuard no_grad;
  std::int64_t largest = 0;
  for (const Shard& shard : shards_) largest = std::max(largest, shard.numbers);
  const auto options = at::TensorOptions().dtype(at::kFloat).device(device_);
  std::vector<std::vector<at::Tensor>> slots(std::min(kSlots, shards_.size()));
  for (auto& slot : slots) {
    for (std::size_t a = 0; a < arrays.size(); ++a) slot.push_back(at::empty({largest}, options));
  }
  const auto part = [&](std::size_t shard, std::size_t array) {
    return slots[shard % slots.size()][array].narrow(0, 0, shards_[shard].numbers);
  };
  const auto bring = [&](std::size_t s) {
    for (std::size_t a = 0; a < arrays.size(); ++a) part(s, a).copy_(arrays[a].array->shards[s], true);
  };
  const auto take_back = [&](std::size_t s) {
    for (std::size_t a = 0; a < arrays.size(); ++a) {
      if (arrays[a].written) arrays[a].array->shards[s].copy_(part(s, a), true);
    }
  };
  const auto work_on = [&](std::size_t s) {
    const Shard& shard = shards_[s];
    std::vector<std::vector<at::Tensor>> numbers(arrays.size());
    for (std::size_t a = 0; a < arrays.size(); ++a) {
      for (std::size_t i = 0; i < shard.which.size(); ++i) {
        const auto& size = sizes_[shard.which[i]];
        numbers[a].push_back(part(s, a).narrow(0, shard.offsets[i], c10::multiply_integers(size)).view(size));
      }
    }
    work(shard.which, numbers);
  };
  if (lanes_) lanes_->begin();
  for (std::size_t s = 0; s < shards_.size(); ++s) {
    const std::size_t slot = s % slots.size();
    if (!lanes_) {
      bring(s);
      work_on(s);
      take_back(s);
      continue;
    }
    lanes_->bring(slot, [&] { bring(s); });
    lanes_->work_on(slot, [&] { work_on(s); });
    lanes_->take_back(slot, [&] { take_back(s); });
  }
  if (lanes_) lanes_->end();
}

}  // namespace rehyat::train
