#include "files/found_source.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

using testing::expect_error;

const SourceNames kNames = {
    "the tokenizer", {{"a.json"}, {"b.model", "c.model"}}, "as others do", "move the other away", {"d.bin"}};

TEST(FoundSource, AnEarlierRankIsTaken) {
  const testing::TempFolder folder;
  EXPECT_FALSE(find_source(folder.path(), kNames));
  EXPECT_FALSE(has_source(folder.path(), kNames));
  write_file_atomic(folder / "b.model", "x");
  EXPECT_EQ(find_source(folder.path(), kNames), folder / "b.model");
  write_file_atomic(folder / "a.json", "x");
  EXPECT_EQ(find_source(folder.path(), kNames), folder / "a.json");
  write_file_atomic(folder / "c.model", "x");
  EXPECT_EQ(find_source(folder.path(), kNames), folder / "a.json");
  EXPECT_TRUE(has_source(folder.path(), kNames));
}

TEST(FoundSource, TwoOfOneRankAreRefusedByName) {
  const testing::TempFolder folder;
  write_file_atomic(folder / "b.model", "x");
  write_file_atomic(folder / "c.model", "x");
  expect_error<UserError>([&] { find_source(folder.path(), kNames); },
                          {folder.path().string(), "b.model and c.model", "the tokenizer", "move the other away"});
  EXPECT_TRUE(has_source(folder.path(), kNames));
}

TEST(FoundSource, WhatIsBesideAndNotReadIsSaid) {
  const testing::TempFolder folder;
  write_file_atomic(folder / "d.bin", "x");
  EXPECT_FALSE(find_source(folder.path(), kNames));
  EXPECT_EQ(only_unread(folder.path(), kNames), "; found only d.bin");
  write_file_atomic(folder / "a.json", "x");
  write_file_atomic(folder / "c.model", "x");
  ::testing::internal::CaptureStderr();
  find_source(folder.path(), kNames);
  const std::string said = ::testing::internal::GetCapturedStderr();
  EXPECT_NE(said.find("a.json: taken as the tokenizer as others do; not read: c.model, d.bin"), std::string::npos)
      << said;
}

}  // namespace
}  // namespace rehyat
