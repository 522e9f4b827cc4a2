#include "comm/nccl_group.h"
#include "core/error.h"

namespace rehyat::comm {

struct NcclGroup::Impl {};

NcclGroup::NcclGroup(const Communicator&, at::Device) {
  throw UserError({"[comm] GPU tensors on several ranks", "a build without NCCL", "one with it",
                   "install libtorch with CUDA (scripts/setup.sh --cuda) and configure with -DREHYAT_NCCL=ON"});
}
NcclGroup::~NcclGroup() = default;
void NcclGroup::broadcast(at::Tensor&, int) {}
void NcclGroup::all_reduce_sum(at::Tensor&) {}

}  // namespace rehyat::comm
