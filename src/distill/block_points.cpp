#include "distill/block_points.h"

#include <ATen/DeviceAccelerator.h>

#include <algorithm>
#include <bit>

#include "core/log.h"
#include "tensor/error_text.h"

namespace rehyat::distill {
namespace {

constexpr std::ptrdiff_t kMostOnTheWay = 3;  // of each split
constexpr std::int64_t kLookAhead = 64;      // steps, of which those whose points are kept need nothing
constexpr std::size_t kJobs = 16;            // more than are ever open

/// What a step needs beside its point, in inputs of a point (bfloat16), and the points on their way.
constexpr std::int64_t kInputsOfAStep = 48;

HostCopy host_copy_if(const CopyStream& copies, const at::Tensor& x) {
  return x.defined() ? copies.to_host(x) : HostCopy();
}

/// Of pinned memory, which libtorch gives in powers of two.
std::int64_t pinned_bytes(const at::Tensor& x) {
  return x.defined() ? static_cast<std::int64_t>(std::bit_ceil(x.nbytes())) : 0;
}

}  // namespace

std::int64_t free_for_points(at::Device device, std::int64_t input_bytes) {
  if (!device.is_cuda()) return 1'000'000'000;
  c10::DeviceAllocator* allocator = at::getDeviceAllocator(at::kCUDA);
  const auto stats = allocator->getDeviceStats(device.index());
  constexpr auto all = static_cast<std::size_t>(c10::CachingAllocator::StatType::AGGREGATE);
  const std::int64_t cached = stats.reserved_bytes[all].current - stats.allocated_bytes[all].current,
                     free = static_cast<std::int64_t>(allocator->getMemoryInfo(device.index()).first) + cached;
  return std::max<std::int64_t>(free - free / 10 - kInputsOfAStep * input_bytes, 0);
}

BlockPoints::BlockPoints(Student student, const PointSource& source, at::ScalarType compute, PointBudget budget,
                         std::function<void()> poll)
    : student_(std::move(student)),
      source_(source),
      compute_(compute),
      left_(budget),
      copies_(student_.rope.cos.device()),
      thread_(kJobs, std::move(poll)) {
  if (!copies_.device().is_cuda()) left_.host = 0;  // it is the same memory
}

BlockPoints::OnTheWay BlockPoints::read(Key key) const {
  OnTheWay out;
  out.host_input = source_.input(key.split, key.index, student_.block);
  out.input = copies_.to_device(out.host_input);
  if (source_.has_targets()) out.target = copies_.to_device(source_.target(key.split, key.index, student_.block));
  return out;
}

BlockPoints::OnTheWay BlockPoints::send(const OnHost& kept) const {
  const auto sent = [this](const HostCopy& x) { return x.defined() ? copies_.to_device(x.get()) : DeviceCopy(); };
  return {kept.input,        copies_.to_device(kept.input), sent(kept.target), sent(kept.o), sent(kept.lse),
          sent(kept.row_max)};
}

std::future<BlockPoints::OnTheWay> BlockPoints::begin(Key key) {
  const auto kept = key.split == data::Split::train ? on_host_.find(key.index) : on_host_.end();
  if (kept == on_host_.end()) return thread_.ask([this, key] { return read(key); });
  return thread_.ask([this, point = kept->second] { return send(point); });
}

void BlockPoints::look_ahead(data::Split split, const Next& next) {
  const auto open = [&] {
    return std::count_if(on_the_way_.begin(), on_the_way_.end(), [&](const auto& x) { return x.first.split == split; });
  };
  for (std::int64_t k = 1; k <= kLookAhead && open() < kMostOnTheWay; ++k) {
    const std::optional<Key> key = next(k);
    if (!key) return;
    const bool kept = key->split == data::Split::train && on_device_.contains(key->index);
    if (!kept && !on_the_way_.contains(*key)) on_the_way_.emplace(*key, begin(*key));
  }
}

Point BlockPoints::get(Key key, const Next& next) {
  const auto kept = key.split == data::Split::train ? on_device_.find(key.index) : on_device_.end();
  if (kept != on_device_.end()) {
    look_ahead(key.split, next);
    return kept->second;
  }
  if (!on_the_way_.contains(key)) on_the_way_.emplace(key, begin(key));
  look_ahead(key.split, next);  // which finds this one on its way, and so begins it no second time
  const OnTheWay here = thread_.await(std::move(on_the_way_.extract(key).mapped()));
  const auto got = [](const DeviceCopy& x) { return x.defined() ? x.get() : at::Tensor(); };
  const Point point = make_point(student_, compute_, here.input.get(), got(here.target),
                                 {got(here.o), got(here.lse), got(here.row_max)});
  if (key.split == data::Split::train) keep(key.index, point, here.host_input);
  return point;
}

void BlockPoints::keep(std::int64_t index, const Point& point, const at::Tensor& host_input) {
  const std::int64_t bytes = point.bytes();
  if (bytes <= left_.device) {
    left_.device -= bytes;
    on_device_.emplace(index, point);
    if (const auto found = on_host_.find(index); found != on_host_.end()) on_host_.erase(found);
    return;
  }
  std::int64_t on_host = 0;
  for (const at::Tensor& part : {host_input, point.target, point.softmax.o, point.softmax.lse, point.softmax.row_max})
    on_host += pinned_bytes(part);
  if (on_host > left_.host || on_host_.contains(index)) return;
  try {
    on_host_.emplace(index,
                     OnHost{host_input, host_copy_if(copies_, point.target[0]), host_copy_if(copies_, point.softmax.o),
                            host_copy_if(copies_, point.softmax.lse), host_copy_if(copies_, point.softmax.row_max)});
    left_.host -= on_host;
  } catch (const c10::Error& error) {
    log::warn("distill: no more memory can be pinned: ", message_of(error),
              "; points that are not kept yet are read at each visit; lower distill.keep_on_host");
    left_.host = 0;
  }
}

}  // namespace rehyat::distill
