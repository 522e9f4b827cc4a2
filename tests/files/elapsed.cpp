#include "files/elapsed.h"

#include <gtest/gtest.h>

#include <thread>

#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

using namespace std::chrono_literals;

TEST(ElapsedTime, IsTheSumOverTheStarts) {
  const testing::TempFolder folder;
  const auto path = folder / "elapsed.json";
  write_file_atomic(path, "{\"seconds\": 100}\n");
  {
    const ElapsedTime time(path);
    std::this_thread::sleep_for(20ms);
    EXPECT_GE(time.seconds(), 100.02);
  }
  const ElapsedTime again(path);
  EXPECT_GE(again.seconds(), 100.02);
  EXPECT_LT(again.seconds(), 160);
}

TEST(ElapsedTime, IsSavedWhileTheWorkRuns) {
  const testing::TempFolder folder;
  const auto path = folder / "elapsed.json";
  const ElapsedTime time(path, 5ms);
  for (int i = 0; i < 400 && !std::filesystem::exists(path); ++i) std::this_thread::sleep_for(5ms);
  EXPECT_TRUE(std::filesystem::exists(path));
}

TEST(ElapsedTime, ADamagedFileCountsAsNoneAndLeftoversGo) {
  const testing::TempFolder folder;
  for (const char* text : {"", "[1]", "{\"seconds\": \"x\"}", "{\"seconds\": -5}", "{\"seconds\": 1e999}"}) {
    write_file_atomic(folder / "elapsed.json", text);
    std::filesystem::create_directory(folder / ".rehyat-part-killed");
    const ElapsedTime time(folder / "elapsed.json");
    EXPECT_LT(time.seconds(), 60) << text;
    EXPECT_GE(time.seconds(), 0) << text;
    EXPECT_FALSE(std::filesystem::exists(folder / ".rehyat-part-killed"));
  }
}

}  // namespace
}  // namespace rehyat
