#include "files/checksum_memory.h"

#include <gtest/gtest.h>

#include "core/hash.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

class Checksums : public ::testing::Test {
 protected:
  std::filesystem::path file(const std::string& content) const {
    write_file_atomic(temp_ / "clip", content);
    return temp_ / "clip";
  }
  const testing::TempFolder temp_;
  const std::filesystem::path memory_ = temp_ / "memory.json";
};

TEST_F(Checksums, AreRememberedWhileTheFileIsTheSame) {
  const auto path = file("one");
  ChecksumMemory first(memory_);
  const std::string sum = first.at(path);
  EXPECT_EQ(sum, hash_file(path));
  first.save();
  // A false memory is believed as long as the file's state is the same, and only so long.
  std::string text = read_file(memory_);
  text.replace(text.find(sum), sum.size(), "remembered");
  write_file_atomic(memory_, text);
  EXPECT_EQ(ChecksumMemory(memory_).at(path), "remembered");
  file("two");
  EXPECT_EQ(ChecksumMemory(memory_).at(path), hash_file(path));
  for (const char* foreign : {"no JSON", "[]", "{\"a\": 3}", ""}) {
    write_file_atomic(memory_, foreign);
    EXPECT_EQ(ChecksumMemory(memory_).at(path), hash_file(path)) << foreign;
  }
}

TEST_F(Checksums, PartsOfAFileAreApart) {
  const auto path = file("one");
  int computed = 0;
  const auto compute = [&] { return std::to_string(++computed); };
  ChecksumMemory memory(memory_);
  EXPECT_EQ(memory.at(path, "0+1", compute), "1");
  EXPECT_EQ(memory.at(path, "1+1", compute), "2");
  EXPECT_EQ(memory.at(path, "0+1", compute), "1");
  memory.save();
  ChecksumMemory again(memory_);
  EXPECT_EQ(again.at(path, "1+1", compute), "2");
  again.save();  // keeps what was asked for alone
  EXPECT_EQ(ChecksumMemory(memory_).at(path, "0+1", compute), "3");
}

TEST_F(Checksums, AnUnreadableFileIsAskedAgain) {
  const auto path = file("one");
  ChecksumMemory memory(memory_);
  EXPECT_EQ(memory.at(path, {}, [] { return ChecksumMemory::kUnreadable; }), "unreadable");
  EXPECT_EQ(memory.at(temp_ / "none", {}, [] { return "gone"; }), "gone");
  EXPECT_EQ(memory.at(temp_ / "none", {}, [] { return "still gone"; }), "still gone");
  memory.save();
  EXPECT_EQ(ChecksumMemory(memory_).at(path), hash_file(path));
}

TEST_F(Checksums, WhatAnotherRankComputedCountsForThisState) {
  const auto path = file("one");
  ChecksumMemory memory;
  memory.remember(path, {}, "theirs");
  EXPECT_EQ(memory.at(path), "theirs");
  file("two");
  EXPECT_EQ(memory.at(path), hash_file(path));
  EXPECT_NO_THROW(memory.save());  // without a file of its own
}

}  // namespace
}  // namespace rehyat
