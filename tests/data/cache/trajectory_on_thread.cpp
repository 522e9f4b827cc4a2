#include "data/cache/trajectory_on_thread.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat::data {
namespace {

const std::vector<CachePoint> kPoints = {{0, true}, {2, false}};

at::Tensor activation(std::int64_t point, std::int64_t block) {
  return (at::arange(60, at::kFloat) * static_cast<float>(1 + point) + static_cast<float>(block))
      .view({10, 6})
      .to(at::kBFloat16);
}

template <typename Writer>
void write_trajectory(Writer& writer, bool targets) {
  for (std::int64_t point = 0; point < 2; ++point) {
    for (std::int64_t block = 0; block < 3; ++block) {
      at::Tensor input = activation(point, block), target = targets ? input * 2 : at::Tensor();
      writer.add(point, block, input, target);
      input.zero_();  // the teacher goes on
    }
  }
  writer.commit(kPoints);
}

TEST(TrajectoryOnThread, TheFileHasTheSameBytes) {
  for (const bool targets : {false, true}) {
    const testing::TempFolder plain, threaded;
    TrajectoryWriter alone(plain.path(), 3);
    write_trajectory(alone, targets);
    const CopyStream copies(at::kCPU);
    IoThread thread(2);
    thread.add([] { std::this_thread::sleep_for(std::chrono::milliseconds(30)); });  // a slow disk
    TrajectoryOnThread beside(thread, copies, threaded.path(), 3);
    write_trajectory(beside, targets);
    thread.finish();
    EXPECT_TRUE(trajectory_done(threaded.path(), 3));
    EXPECT_EQ(read_file(threaded / "trajectory-000003.h5"), read_file(plain / "trajectory-000003.h5"));
  }
}

TEST(TrajectoryOnThread, WithoutACommitNoFileIsLeft) {
  const testing::TempFolder folder;
  const CopyStream copies(at::kCPU);
  {
    IoThread thread(2);
    TrajectoryOnThread writer(thread, copies, folder.path(), 0);
    writer.add(0, 0, activation(0, 0));
    writer.add(0, 1, activation(0, 1));
  }
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
}

TEST(TrajectoryOnThread, WhatCannotBeWrittenIsToldByALaterCall) {
  const testing::TempFolder folder;
  const CopyStream copies(at::kCPU);
  IoThread thread(2);
  const auto no_folder = folder / "gone";
  testing::expect_error<UserError>(
      [&] {
        TrajectoryOnThread writer(thread, copies, no_folder, 0);
        write_trajectory(writer, false);
        thread.finish();
      },
      {no_folder.string(), "cannot"});
  TrajectoryOnThread writer(thread, copies, folder.path(), 1);  // the thread serves the next
  write_trajectory(writer, false);
  thread.finish();
  EXPECT_TRUE(trajectory_done(folder.path(), 1));
}

}  // namespace
}  // namespace rehyat::data
