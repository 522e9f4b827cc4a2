#include "comm/nccl_group.h"

#include <unistd.h>

#include <array>
#include <torch/csrc/distributed/c10d/ProcessGroupNCCL.hpp>
#include <torch/csrc/distributed/c10d/TCPStore.hpp>

#include "comm/communicator.h"
#include "core/log.h"
#include "core/strings.h"
#include "tensor/error_text.h"

namespace rehyat::comm {

struct NcclGroup::Impl {
  c10::intrusive_ptr<c10d::TCPStore> store;
  c10::intrusive_ptr<c10d::ProcessGroupNCCL> group;
};

NcclGroup::NcclGroup(const Communicator& communicator, at::Device device) : impl_(std::make_unique<Impl>()) {
  // Rank 0 opens the store on a free port; MPI tells the others where.
  c10d::TCPStoreOptions options;
  options.port = 0;
  options.waitWorkers = false;
  std::string address;
  // Whatever fails on one rank fails on all: the others would wait for an address, or for NCCL's first message.
  communicator.all_or_none([&] {
    if (communicator.rank() != 0) return;
    options.isServer = true;
    std::array<char, 256> host{};
    gethostname(host.data(), host.size() - 1);
    impl_->store = c10::make_intrusive<c10d::TCPStore>(host.data(), options);
    address = cat(host.data(), ':', impl_->store->getPort());
  });
  address = communicator.broadcast(address, 0);
  communicator.all_or_none([&] {
    if (communicator.rank() != 0) {
      const std::size_t colon = address.rfind(':');
      options.isServer = false;
      options.port = static_cast<std::uint16_t>(std::stoi(address.substr(colon + 1)));
      impl_->store = c10::make_intrusive<c10d::TCPStore>(address.substr(0, colon), options);
    }
    auto settings = c10d::ProcessGroupNCCL::Options::create();
    impl_->group =
        c10::make_intrusive<c10d::ProcessGroupNCCL>(impl_->store, communicator.rank(), communicator.size(), settings);
    impl_->group->setBoundDeviceId(device);
  });
}

NcclGroup::~NcclGroup() {
  // Destroyed without it, the group warns and may hang on its own threads.
  try {
    if (impl_->group) impl_->group->shutdown();
  } catch (const std::exception& error) {
    log::warn("NCCL did not close in order: ", message_of(error));
  }
}

void NcclGroup::broadcast(at::Tensor& tensor, int root) {
  std::vector<at::Tensor> tensors{tensor};
  c10d::BroadcastOptions options;
  options.rootRank = root;
  impl_->group->broadcast(tensors, options)->wait();
}

void NcclGroup::all_reduce_sum(at::Tensor& tensor) {
  std::vector<at::Tensor> tensors{tensor};
  impl_->group->allreduce(tensors)->wait();
}

}  // namespace rehyat::comm
