#include "finetune/flow_feed.h"

#include <ATen/ATen.h>

namespace rehyat::finetune {
namespace {

constexpr std::size_t kBatchesAhead = 2;

}  // namespace

FlowFeed::FlowFeed(at::Device device, std::function<std::vector<FlowSample>(Turn)> make,
                   std::function<std::optional<Turn>(Turn)> next, std::function<void()> poll)
    : copies_(device), make_(std::move(make)), next_(std::move(next)), thread_(kBatchesAhead + 2, std::move(poll)) {}

FlowFeed::Sent FlowFeed::send(Turn turn) const {
  const FlowBatch batch = joined(make_(turn));
  const auto sent = [this](const at::Tensor& x) {
    if (!copies_.device().is_cuda()) return copies_.to_device(x);
    return copies_.to_device(copies_.host_memory(x.sizes(), x.scalar_type()).copy_(x));
  };
  return {sent(batch.x), sent(batch.timesteps), sent(batch.text), sent(batch.target)};
}

FlowBatch FlowFeed::get(Turn turn) {
  while (!coming_.empty() && coming_.front().first != turn) coming_.pop_front();
  const auto begin = [&](Turn which) {
    coming_.emplace_back(which, thread_.ask([this, which] { return send(which); }));
  };
  if (coming_.empty()) begin(turn);
  while (coming_.size() <= kBatchesAhead) {
    const std::optional<Turn> after = next_(coming_.back().first);
    if (!after) break;
    begin(*after);
  }
  std::future<Sent> here = std::move(coming_.front().second);
  coming_.pop_front();
  const Sent sent = thread_.await(std::move(here));
  return {sent.x.get(), sent.timesteps.get(), sent.text.get(), sent.target.get()};
}

}  // namespace rehyat::finetune
