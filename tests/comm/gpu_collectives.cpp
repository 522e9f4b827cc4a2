// NCCL through c10d. These tests need a GPU for each rank and skip, saying so, where there are fewer.
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "comm/mpi_test_main.h"
#include "core/error.h"
#include "core/expect_error.h"
#include "core/strings.h"
#include "tensor/random.h"

namespace rehyat {
namespace {

using testing::world;

class GpuCollectives : public ::testing::Test {
 protected:
  void SetUp() override {
    const auto gpus = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
    // The smallest count decides, so that all ranks skip together.
    for (const double count : world().all_gather(static_cast<double>(gpus))) {
      if (count < world().local_size()) GTEST_SKIP() << "needs a GPU for each of " << world().size() << " ranks";
    }
    device_ = at::Device(at::kCUDA, static_cast<at::DeviceIndex>(world().local_rank()));
  }

  /// What rank r holds, on the CPU.
  static at::Tensor share_of(int rank, at::IntArrayRef shape) {
    Rng rng(7, "test.dist.gpu", {static_cast<std::uint64_t>(rank)});
    return randn(rng, shape);
  }

  at::Device device_ = at::kCPU;
};

TEST_F(GpuCollectives, AllReduceIsTheSum) {
  for (const std::int64_t size : {1, 1021, 1 << 20}) {
    at::Tensor expected = at::zeros({size}, at::kDouble);
    for (int r = 0; r < world().size(); ++r) expected += share_of(r, {size}).to(at::kDouble);
    for (const auto& [type, tolerance] : {std::pair(at::kFloat, 1e-5), std::pair(at::kBFloat16, 5e-2)}) {
      at::Tensor mine = share_of(world().rank(), {size}).to(device_, type);
      world().all_reduce_sum(mine);
      EXPECT_LE((mine.cpu().to(at::kDouble) - expected).abs().max().item<double>(), tolerance) << size;
    }
  }
}

TEST_F(GpuCollectives, BroadcastGivesTheRootsTensor) {
  for (int root = 0; root < world().size(); ++root) {
    at::Tensor mine = share_of(world().rank(), {4099}).to(device_);
    world().broadcast(mine, root);
    EXPECT_TRUE(at::equal(mine.cpu(), share_of(root, {4099})));
  }
}

TEST_F(GpuCollectives, TensorsOnCpuAndGpuMayAlternate) {
  for (int i = 0; i < 3; ++i) {
    at::Tensor here = at::ones({5}), there = at::ones({5}, device_);
    world().all_reduce_sum(here);
    world().all_reduce_sum(there);
    EXPECT_TRUE(at::equal(here, there.cpu()));
  }
}

TEST_F(GpuCollectives, ATensorOnAnotherKindOfDeviceIsRefusedOnAllRanks) {
  if (world().size() == 1) GTEST_SKIP() << "needs several ranks";
  at::Tensor mine = at::ones({3}, world().rank() == 0 ? device_ : at::Device(at::kCPU));
  testing::expect_error<UserError>([&] { world().all_reduce_sum(mine); }, {"rank 1", "CPU", "GPU"});
}

}  // namespace
}  // namespace rehyat
