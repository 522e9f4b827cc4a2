#pragma once

#include <ATen/ATen.h>

#include <functional>
#include <memory>
#include <vector>

namespace rehyat::train {

/// Float32 numbers of many tensors in host memory, packed into shards; on a GPU's machine the memory is pinned.
struct HostArray {
  std::vector<at::Tensor> shards;   ///< flat
  std::vector<at::Tensor> tensors;  ///< one for each tensor of the list, a view of its part of a shard
};

/// Passes arrays of tensors that live in host memory through a device, shard by shard: while one shard is worked on,
/// the next is on its way to the device and the one before on its way back, each on a stream of its own. On the CPU the
/// same code copies and works in turn. What is computed does not depend on the shards, since the work is elementwise.
class HostArrays {
 public:
  /// 128 MiB: a power of two, to which libtorch's pool of pinned memory rounds up.
  static constexpr std::int64_t kShardNumbers = std::int64_t{1} << 25;

  /// For tensors of these sizes, worked on by `device`; what is larger than a shard has one of its own.
  HostArrays(const std::vector<std::vector<std::int64_t>>& sizes, at::Device device,
             std::int64_t shard_numbers = kShardNumbers);
  ~HostArrays();
  HostArrays(const HostArrays&) = delete;
  HostArrays& operator=(const HostArrays&) = delete;

  /// An array of zeros for all tensors.
  HostArray zeros() const;

  struct Passed {
    HostArray* array;
    bool written;  ///< whether the device's numbers come back
  };
  /// The tensors of the list that the shard holds, and for each array passed their numbers on the device.
  using Work = std::function<void(const std::vector<std::size_t>& which, const std::vector<std::vector<at::Tensor>>&)>;
  /// When it returns, `work` was called for every shard, and the host's numbers can be read.
  void pass(const std::vector<Passed>& arrays, const Work& work) const;

 private:
  struct Shard {
    std::vector<std::size_t> which;
    std::vector<std::int64_t> offsets;
    std::int64_t numbers = 0;
  };
  class Lanes;

  std::vector<std::vector<std::int64_t>> sizes_;
  at::Device device_;
  std::vector<Shard> shards_;
  std::unique_ptr<Lanes> lanes_;
};

}  // namespace rehyat::train
