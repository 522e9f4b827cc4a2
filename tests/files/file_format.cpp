#include "files/file_format.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/temp_folder.h"
#include "files/atomic_file.h"
#include "files/safetensors.h"

namespace rehyat {
namespace {

using namespace std::string_literals;

std::optional<FileFormat> format_of(const std::string& start) {
  const auto known = recognise_format(start);
  return known ? std::optional(known->format) : std::nullopt;
}

TEST(FileFormat, TheFirstBytesTell) {
  const std::vector<std::pair<std::string, FileFormat>> cases = {
      {"version https://git-lfs.github.com/spec/v1\noid sha256:"s + std::string(64, 'a'), FileFormat::git_lfs_pointer},
      {"<!DOCTYPE html><html><title>401</title>sign in</html>", FileFormat::web_page},
      {"\xEF\xBB\xBF\r\n<HTML lang=en>", FileFormat::web_page},
      {"<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>", FileFormat::xml},
      {"{\"error\": \"Repository not found\"}", FileFormat::json},
      {"\xFE\xFF\0a"s, FileFormat::utf16},
      {"\xFF\xFE\0\0a\0\0\0"s, FileFormat::utf32},
      {"\x28\xB5\x2F\xFD rest", FileFormat::compressed},
      {"PK\3\4 rest", FileFormat::zip},
      {std::string(257, 'a') + "ustar\00000", FileFormat::tar},
      {"\x89HDF\r\n\x1A\n rest", FileFormat::hdf5},
      {"\x80\2}q\0(X\5\0\0\0"s, FileFormat::pickle},
      {"GGUF\3\0\0\0"s, FileFormat::gguf},
      {"\x93NUMPY\1\0"s, FileFormat::numpy},
      {std::string(512, '\0'), FileFormat::zeros},
  };
  for (const auto& [start, format] : cases) {
    EXPECT_EQ(format_of(start), format) << start.substr(0, 20);
    EXPECT_FALSE(recognise_format(start)->hint.empty());
  }
}

TEST(FileFormat, PlainTextAndShortFilesTellNothing) {
  for (const std::string& start : {""s, "a"s, "a red cat\n"s, "[1, 2]"s, "\0"s, "PK"s, "version 2\n"s, "<b>bold</b>"s})
    EXPECT_FALSE(recognise_format(start)) << start;
}

TEST(FileFormat, AFileOfOursIsKnownWhateverItsHeaderBeginsWith) {
  const testing::TempFolder folder;
  for (const std::size_t extra : {0, 64, 512, 4096}) {
    safetensors::write(folder / "a.safetensors", std::vector<safetensors::Item>{}, {{"k", std::string(extra, 'x')}});
    EXPECT_EQ(format_of(first_bytes(folder / "a.safetensors")), FileFormat::safetensors) << extra;
  }
  EXPECT_EQ(first_bytes(folder / "none"), "");
}

TEST(FileFormat, AnExplanationReplacesWhatAReaderFound) {
  const Mistake own = {"a.json", "rubbish", "JSON", "look again"};
  EXPECT_EQ(explain_by_start(own, "<html>").found, "a web page in place of the file");
  EXPECT_EQ(explain_by_start(own, "plain").found, "rubbish");
  EXPECT_EQ(explain_by_start(own, "plain").hint, "look again");
  EXPECT_EQ(explain_by_start(own, "{\"a\": 1", FileFormat::json).found, "rubbish");
}

}  // namespace
}  // namespace rehyat
