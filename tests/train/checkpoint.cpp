#include "train/checkpoint.h"

#include <gtest/gtest.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <fstream>
#include <string_view>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "tensor/random.h"

namespace {

/// The end of the name of a folder that the disk cannot flush; empty where the disk works.
std::string_view failing_folder;

}  // namespace

/// Takes the place of the system's function in this program.
extern "C" int fsync(int file) {
  std::array<char, 4096> path{};
  const std::string link = "/proc/self/fd/" + std::to_string(file);
  if (!failing_folder.empty() && ::readlink(link.c_str(), path.data(), path.size() - 1) > 0 &&
      std::string_view(path.data()).ends_with(failing_folder)) {
    errno = EIO;
    return -1;
  }
  return static_cast<int>(::syscall(SYS_fsync, file));
}

namespace rehyat::train {
namespace {

using testing::expect_error;

Checkpoint sample(std::int64_t step) {
  Rng rng(1, "test.checkpoint", {static_cast<std::uint64_t>(step)});
  Checkpoint out;
  out.step = step;
  out.state = {{"loss", 0.1 * static_cast<double>(step)}};
  out.parts = {{"weights", {{"w", randn(rng, {4, 5})}}}, {"optimizer", {{"m", randn(rng, {9})}}}};
  return out;
}

class Checkpoints : public ::testing::Test {
 protected:
  void expect_newest(std::int64_t step) {
    const auto found = folder_.newest();
    ASSERT_TRUE(found.has_value());
    const Checkpoint expected = sample(step);
    EXPECT_EQ(found->step, step);
    EXPECT_EQ(found->state, expected.state);
    ASSERT_EQ(found->parts.size(), 2U);
    EXPECT_TRUE(at::equal(found->part("weights").at(0).second, expected.part("weights").at(0).second));
    EXPECT_TRUE(at::equal(found->part("optimizer").at(0).second, expected.part("optimizer").at(0).second));
  }
  std::filesystem::path file(const std::string& step, const std::string& name) {
    return temp_ / "checkpoints" / step / name;
  }
  void save(std::initializer_list<std::int64_t> steps, std::int64_t keep = 2) {
    for (const std::int64_t step : steps) folder_.save(sample(step), keep);
  }
  static void change(const std::filesystem::path& path, const std::function<void(std::string&)>& edit) {
    std::string content = read_file(path);
    edit(content);
    std::ofstream(path, std::ios::binary | std::ios::trunc) << content;
  }

  testing::TempFolder temp_;
  CheckpointFolder folder_{temp_ / "checkpoints", "mine"};
};

TEST_F(Checkpoints, ThereAreNoneAtFirst) {
  EXPECT_FALSE(folder_.newest().has_value());
}

TEST_F(Checkpoints, TheNewestIsReadAndOldOnesGo) {
  save({5, 10, 100, 15}, 2);
  // 100 was there when 15 came: only a damaged one can be newer than what is saved.
  expect_newest(15);
  std::vector<std::string> left;
  for (const auto& entry : std::filesystem::directory_iterator(temp_ / "checkpoints"))
    left.push_back(entry.path().filename().string());
  std::sort(left.begin(), left.end());
  EXPECT_EQ(left, (std::vector<std::string>{"step-00000010", "step-00000015"}));
}

TEST_F(Checkpoints, ADamagedOneIsPassedOver) {
  save({5, 10});
  change(file("step-00000010", "weights.safetensors"), [](std::string& c) { c[c.size() - 3] ^= 1; });
  expect_newest(5);
}

TEST_F(Checkpoints, ATruncatedOneIsPassedOver) {
  save({5, 10});
  change(file("step-00000010", "optimizer.safetensors"), [](std::string& c) { c.resize(c.size() - 1); });
  expect_newest(5);
}

TEST_F(Checkpoints, OneWithoutAFileOrItsMarkerIsPassedOver) {
  save({5, 10, 15}, 3);
  std::filesystem::remove(file("step-00000015", "weights.safetensors"));
  std::filesystem::remove(file("step-00000010", "state.json"));
  expect_newest(5);
}

TEST_F(Checkpoints, AnyDamageToTheMarkerIsPassedOver) {
  for (const auto& edit : std::vector<std::function<void(std::string&)>>{
           [](std::string& c) { c.resize(c.size() / 2); }, [](std::string& c) { c.clear(); },
           [](std::string& c) { c = "[]"; }, [](std::string& c) { c = "{}"; }, [](std::string& c) { c = "null"; },
           [](std::string& c) { c.replace(c.find("\"step\": 10"), 10, "\"step\": 11"); },
           [](std::string& c) { c.replace(c.find("\"step\": 10"), 10, "\"step\": {}"); },
           [](std::string& c) { c.replace(c.find("\"format\": 2"), 11, "\"format\": 9"); },
           [](std::string& c) { c.replace(c.find("\"files\": ["), 10, "\"files\": {["); },
           [](std::string& c) { c.replace(c.find("\"checksum\": \""), 13, "\"checksum\": \"0"); }}) {
    save({5, 10});
    change(file("step-00000010", "state.json"), edit);
    expect_newest(5);
  }
}

TEST_F(Checkpoints, NothingWholeMeansNone) {
  save({5});
  change(file("step-00000005", "state.json"), [](std::string& c) { c = "x"; });
  EXPECT_FALSE(folder_.newest().has_value());
}

TEST_F(Checkpoints, AnotherTrainingsIsRefusedNotOverwritten) {
  save({5, 10});
  const CheckpointFolder other(temp_ / "checkpoints", "theirs");
  expect_error<UserError>([&] { (void)other.newest(); },
                          {"state.json", "another training (mine)", "expected theirs", "another run folder"});
  expect_newest(10);
}

TEST_F(Checkpoints, WhatAKilledSaveLeftIsIgnoredAndRemoved) {
  save({5});
  std::filesystem::create_directories(temp_ / "checkpoints/.rehyat-part-7");
  std::ofstream(temp_ / "checkpoints/.rehyat-part-7/weights.safetensors") << "half";
  std::ofstream(temp_ / "checkpoints/notes.txt") << "the user's";
  expect_newest(5);
  save({10});
  EXPECT_FALSE(std::filesystem::exists(temp_ / "checkpoints/.rehyat-part-7"));
  EXPECT_TRUE(std::filesystem::exists(temp_ / "checkpoints/notes.txt"));
  expect_newest(10);
}

TEST_F(Checkpoints, ASavedStepIsReplacedAsAWhole) {
  save({5});
  change(file("step-00000005", "weights.safetensors"), [](std::string& c) { c.clear(); });
  save({5});
  expect_newest(5);
}

TEST_F(Checkpoints, AFolderThatCannotBeListedIsNotAnEmptyOne) {
  std::ofstream(temp_ / "checkpoints") << "in the way";
  expect_error<UserError>([&] { (void)folder_.newest(); },
                          {"checkpoints", "cannot be listed", "start the same command"});
}

TEST_F(Checkpoints, AFolderThatCannotBeFlushedIsAnError) {
  failing_folder = "/checkpoints";
  expect_error<UserError>([&] { save({5}); }, {"checkpoints", "cannot be flushed"});
  failing_folder = "";
  save({10});
  expect_newest(10);
}

TEST_F(Checkpoints, AMissingPartIsNamed) {
  expect_error<UserError>([] { (void)sample(3).part("ema"); }, {"step 3", "'ema'"});
}

}  // namespace
}  // namespace rehyat::train
