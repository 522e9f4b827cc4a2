#pragma once

#include <ATen/ATen.h>

#include <memory>

namespace rehyat::comm {

class Communicator;

/// NCCL over the ranks of a communicator, through c10d's ProcessGroupNCCL. Where the build has no NCCL the constructor
/// throws a UserError that names the setting.
class NcclGroup {
 public:
  NcclGroup(const Communicator& communicator, at::Device device);
  ~NcclGroup();

  void broadcast(at::Tensor& tensor, int root);
  void all_reduce_sum(at::Tensor& tensor);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace rehyat::comm
