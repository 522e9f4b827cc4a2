#include "tensor/host_copy.h"

#include <ATen/ATen.h>
#include <c10/core/StreamGuard.h>
#include <c10/core/impl/VirtualGuardImpl.h>

namespace rehyat {
namespace {

c10::Stream current_stream(at::Device device) {
  return c10::impl::VirtualGuardImpl(device.type()).getStream(device);
}

std::shared_ptr<c10::Event> recorded(const c10::Stream& stream) {
  auto event = std::make_shared<c10::Event>(stream.device_type());
  event->record(stream);
  return event;
}

}  // namespace

const at::Tensor& HostCopy::get() const {
  if (done_) done_->synchronize();
  return values_;
}

const at::Tensor& DeviceCopy::get() const {
  if (done_) {
    const c10::Stream stream = current_stream(values_.device());
    done_->block(stream);
    values_.record_stream(stream);
  }
  return values_;
}

CopyStream::CopyStream(at::Device device) : device_(device) {
  if (device.is_cuda()) stream_ = c10::impl::VirtualGuardImpl(device.type()).getStreamFromGlobalPool(device);
}

at::Tensor CopyStream::host_memory(at::IntArrayRef shape, at::ScalarType type) const {
  return at::empty(shape, at::TensorOptions().dtype(type).pinned_memory(stream_.has_value()));
}

HostCopy CopyStream::to_host(const at::Tensor& x) const {
  HostCopy out;
  out.values_ = host_memory(x.sizes(), x.scalar_type());
  if (!x.is_cuda()) {
    out.values_.copy_(x);
    return out;
  }
  recorded(current_stream(x.device()))->block(*stream_);
  const c10::StreamGuard guard(*stream_);
  out.values_.copy_(x, /*non_blocking=*/true);
  x.record_stream(*stream_);
  out.done_ = recorded(*stream_);
  return out;
}

DeviceCopy CopyStream::to_device(const at::Tensor& x) const {
  DeviceCopy out;
  if (!stream_) {
    out.values_ = x;
    return out;
  }
  const c10::StreamGuard guard(*stream_);
  out.values_ = x.to(device_, /*non_blocking=*/true);
  out.done_ = recorded(*stream_);
  return out;
}

}  // namespace rehyat
