#include "tensor/host_copy.h"

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <torch/cuda.h>

#include "tensor/io_thread.h"

namespace rehyat {
namespace {

TEST(HostCopy, OnACpuTheHostsCopyIsItsOwn) {
  const CopyStream copies(at::kCPU);
  at::Tensor x = at::arange(12, at::kFloat).view({3, 4}).t();
  const at::Tensor expected = x.clone();
  const HostCopy copy = copies.to_host(x);
  x.zero_();
  EXPECT_TRUE(at::equal(copy.get(), expected));
  EXPECT_TRUE(copies.to_device(expected).get().is_same(expected));
  EXPECT_FALSE(copies.host_memory({4}, at::kHalf).is_pinned());
}

TEST(HostCopy, OnAGpuCopiesRunBesideItsWorkAndInOrderWithIt) {
  if (!torch::cuda::is_available()) GTEST_SKIP() << "needs a GPU";
  const at::Device gpu(at::kCUDA, 0);
  const CopyStream copies(gpu);
  IoThread thread(3);
  const at::Tensor factor = at::full({4096, 4096}, 1e-3F, gpu);
  std::vector<std::future<bool>> answers;
  for (int i = 0; i < 8; ++i) {
    at::Tensor work = factor;
    for (int k = 0; k < 6; ++k) work = at::mm(work, factor);  // so that the copy has something to wait for
    const HostCopy copy = copies.to_host(at::full_like(work, i) + 0 * work);
    answers.push_back(
        thread.ask([copy, i] { return copy.get().is_pinned() && at::all(copy.get() == i).item<bool>(); }));
  }
  for (auto& answer : answers) EXPECT_TRUE(thread.await(std::move(answer)));

  for (int i = 0; i < 8; ++i) {
    const at::Tensor host = copies.host_memory({1 << 22}, at::kFloat);
    EXPECT_TRUE(host.is_pinned());
    const DeviceCopy copy = copies.to_device(host.fill_(i));
    EXPECT_TRUE(at::all(copy.get() == i).item<bool>());
  }
}

}  // namespace
}  // namespace rehyat
