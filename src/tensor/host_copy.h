#pragma once

#include <ATen/core/Tensor.h>
#include <c10/core/Event.h>
#include <c10/core/Stream.h>

#include <memory>
#include <optional>

/// Copies between a GPU and the host's memory that nobody has to wait for: they run on a stream of their own beside the
/// work of the current stream, to and from pinned memory. On a CPU they are plain copies.
namespace rehyat {

/// A copy in the host's memory that may still be under way.
class HostCopy {
 public:
  HostCopy() = default;
  bool defined() const { return values_.defined(); }
  /// The values, once they are there. May be called on any thread.
  const at::Tensor& get() const;

 private:
  friend class CopyStream;
  at::Tensor values_;
  std::shared_ptr<c10::Event> done_;  ///< null on a CPU
};

/// A copy on the device that may still be under way.
class DeviceCopy {
 public:
  DeviceCopy() = default;
  bool defined() const { return values_.defined(); }
  /// The values; work that the current stream is given from now on runs after the copy. The host does not wait.
  const at::Tensor& get() const;

 private:
  friend class CopyStream;
  at::Tensor values_;
  std::shared_ptr<c10::Event> done_;  ///< null on a CPU
};

class CopyStream {
 public:
  explicit CopyStream(at::Device device);

  /// Begins to copy `x`, as the current stream has made it, into memory that nobody else writes to. `x` may be freed or
  /// changed by later work of the current stream only where that work does not come before the copy: it is kept alive
  /// until then, but not kept from being overwritten.
  HostCopy to_host(const at::Tensor& x) const;
  /// Begins to copy `x`, which lies on the host; pinned memory makes it run beside the GPU's work. On a CPU this is `x`
  /// itself.
  DeviceCopy to_device(const at::Tensor& x) const;
  /// Memory on the host from which copies to the device run beside its work: pinned where the device is a GPU.
  at::Tensor host_memory(at::IntArrayRef shape, at::ScalarType type) const;
  at::Device device() const { return device_; }

 private:
  at::Device device_;
  std::optional<c10::Stream> stream_;  ///< none on a CPU
};

}  // namespace rehyat
