#include "stages/device.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"

namespace rehyat::stages {
namespace {

using testing::expect_error;

TEST(Device, OneGpuARank) {
  EXPECT_EQ(choose_device("auto", 0, 0, 4), at::Device(at::kCPU));
  EXPECT_EQ(choose_device("cpu", 4, 3, 8), at::Device(at::kCPU));
  EXPECT_EQ(choose_device("auto", 4, 3, 4), at::Device(at::kCUDA, 3));
  EXPECT_EQ(choose_device("cuda", 1, 0, 1), at::Device(at::kCUDA, 0));
}

TEST(Device, MistakesAreSentences) {
  expect_error<UserError>([] { choose_device("cuda", 0, 0, 1); }, {"run.device", "no GPU"});
  for (const char* wanted : {"auto", "cuda"}) {
    expect_error<UserError>([&] { choose_device(wanted, 2, 2, 3); },
                            {"run.device: found 3 ranks on a machine with 2 GPUs", "one rank a GPU", "start 2 ranks"});
  }
}

}  // namespace
}  // namespace rehyat::stages
