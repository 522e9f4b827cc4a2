#include "files/text_file.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

using namespace std::string_literals;
using testing::expect_error;

TEST(TextFile, AMarkIsNoPartOfTheText) {
  const testing::TempFolder folder;
  write_file_atomic(folder / "a.txt",
                    "\xEF\xBB\xBF"
                    "a red cat\r\na blue dog\r\n");
  EXPECT_EQ(read_text(folder / "a.txt"), "a red cat\r\na blue dog\r\n");
  EXPECT_EQ(text_in("caf\xC3\xA9", "a"), "caf\xC3\xA9");
  EXPECT_EQ(text_in("", "a"), "");
  EXPECT_EQ(text_in("{\"a\": 1}", "a"), "{\"a\": 1}");
  expect_error<UserError>([&] { read_text(folder / "a.txt", 3); }, {"a.txt", "smaller file"});
}

TEST(TextFile, WhatIsNoTextIsCalledByItsName) {
  const auto refused = [](const std::string& bytes, const std::vector<std::string>& parts) {
    expect_error<UserError>([&] { text_in(bytes, "prompts.txt"); }, parts);
  };
  refused(
      "\xFF\xFE"
      "a\0 \0r\0e\0d\0"s,
      {"prompts.txt: found text in UTF-16", "iconv -f UTF-16 -t UTF-8"});
  refused("a\0 \0r\0e\0d\0 \0c\0a\0"s, {"UTF-16", "iconv -f UTF-16LE "});
  refused("\0a\0 \0r\0e\0d\0 \0c"s, {"UTF-16", "iconv -f UTF-16BE "});
  refused("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n", {"Git LFS pointer", "git lfs pull"});
  refused(" \n<!doctype HTML>\n", {"a web page"});
  refused("\x1F\x8B\x08\0\0\0"s, {"compressed with gzip", "gunzip"});
  refused("a red cat\ncaf\xE9\n", {"prompts.txt:2", "\\xE9", "not UTF-8", "iconv"});
  refused("a red cat\nblue\0dog"s, {"prompts.txt:2", "NUL"});
}

}  // namespace
}  // namespace rehyat
