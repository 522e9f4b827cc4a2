#include <gtest/gtest.h>

#include <cstring>
#include <limits>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/rng.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "files/safetensors.h"

namespace rehyat {
namespace {

using testing::expect_error;
using testing::TempFolder;

std::string file_of(const std::string& header, std::size_t data_bytes, std::uint64_t length) {
  std::string file(8, '\0');
  std::memcpy(file.data(), &length, 8);
  return file + header + std::string(data_bytes, '\1');
}

class Header : public ::testing::Test {
 protected:
  void refused(const std::string& header, std::size_t data_bytes, const std::vector<std::string>& parts) {
    refused_file(file_of(header, data_bytes, header.size()), parts);
  }
  void refused_file(const std::string& content, std::vector<std::string> parts) {
    write_file_atomic(path_, content);
    parts.push_back(path_.string());
    expect_error<UserError>([&] { safetensors::Reader reader(path_); }, parts);
  }
  void accepted(const std::string& header, std::size_t data_bytes) {
    write_file_atomic(path_, file_of(header, data_bytes, header.size()));
    EXPECT_NO_THROW(safetensors::Reader reader(path_)) << header;
  }

  TempFolder folder_;
  std::filesystem::path path_ = folder_ / "m.safetensors";
};

const char* const kTwo = R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},)"
                         R"("b":{"dtype":"BF16","shape":[],"data_offsets":[8,10]}})";

TEST_F(Header, GoodOnesAreRead) {
  accepted(kTwo, 10);
  accepted("{}", 0);
  accepted(R"({"__metadata__":{"format":"pt"}}    )", 0);
  accepted(R"({"a":{"dtype":"F32","shape":[0,7],"data_offsets":[0,0]}})", 0);
  accepted(
      R"({"b":{"dtype":"U8","shape":[1],"data_offsets":[1,2]},"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
      2);
}

TEST_F(Header, TheLengthIsCheckedAgainstTheFile) {
  refused_file("", {"0 bytes", "at least 8 bytes"});
  for (std::size_t size = 1; size < 8; ++size)
    refused_file(std::string("1234567").substr(0, size), {cat("found ", size, " bytes"), "at least 8 bytes"});
  refused_file(file_of("{}", 0, 3), {"cut off"});
  refused_file(file_of("{}", 0, std::numeric_limits<std::uint64_t>::max()), {"18446744073709551615", "at most"});
  refused_file(file_of("{}", 0, std::uint64_t{1} << 63), {"at most"});
  refused_file(file_of("{}", 0, 0), {"no JSON object"});
}

TEST_F(Header, TheDataMustBeWhole) {
  refused(kTwo, 9, {});
  refused(kTwo, 11, {});
  refused("{}", 4, {});
}

TEST_F(Header, ItMustBeAJsonObject) {
  refused("[]", 0, {"no JSON object"});
  refused("3", 0, {"no JSON object"});
  refused("{", 0, {"not JSON"});
  refused("{}x", 0, {"not end with '}'"});
  refused("{x}", 0, {"not JSON"});
  refused("{\"\xff\":{}}", 0, {"not UTF-8"});
  refused(R"({"a":)" + std::string(200'000, '[') + "}", 0, {"nested"});
  std::string deep;
  for (int i = 0; i < 50'000; ++i) deep += "{\"a\":";
  refused(deep + "}", 0, {"nested"});
}

TEST_F(Header, ItBeginsWithABraceAndIsFilledUpWithSpacesOnly) {
  accepted("{}     ", 0);
  refused(" {}", 0, {"begins with ' {}'"});
  refused("\xEF\xBB\xBF{}", 0, {"no JSON object"});
  refused("{}\n", 0, {"not end with '}'"});
  refused("{} \t", 0, {"not end with '}'"});
  refused(std::string("{}\0\0", 4), 0, {"not end with '}'"});
  refused(std::string("{\0}", 3), 0, {"NUL"});
}

TEST_F(Header, WhatAStrangerWroteIsCutInMessages) {
  const std::string name(50'000, 'n'), list = "[" + std::string(100'000, '1') + "]";
  const auto shorter = [&](const std::string& header, std::size_t data) {
    write_file_atomic(path_, file_of(header, data, header.size()));
    try {
      const safetensors::Reader reader(path_);
      ADD_FAILURE() << "nothing was thrown";
    } catch (const UserError& error) {
      EXPECT_LT(std::string(error.what()).size(), 500U);
    }
  };
  shorter("{\"" + name + R"(":{"dtype":"U8","shape":[1],"data_offsets":[0,2]}})", 2);
  shorter(R"({"a":{"dtype":")" + name + R"(","shape":[1],"data_offsets":[0,1]}})", 1);
  shorter(R"({"a":{"dtype":"U8","shape":)" + std::string("\"") + name + R"(","data_offsets":[0,1]}})", 1);
  shorter("{\"" + name + "\":1,\"" + name + "\":2}", 0);
  shorter(R"({"__metadata__":{")" + name + R"(":3}})", 0);
  write_file_atomic(path_, file_of(kTwo, 10, std::strlen(kTwo)));
  expect_error<UserError>([&] { safetensors::Reader(path_).at("x\n\xff"); }, {"no tensor 'x?"});
}

TEST_F(Header, ManyTensorsAreReadAndTheirNumberIsBounded) {
  const auto many = [](int count) {
    std::string header = "{";
    for (int i = 0; i < count; ++i)
      header += cat(i > 0 ? "," : "", "\"layer.", i, R"(":{"dtype":"F32","shape":[0],"data_offsets":[0,0]})");
    return header + "}";
  };
  // A reader whose time grows with the square of their number would run into the test's time limit.
  accepted(many(150'000), 0);
  const safetensors::Reader reader(path_);
  expect_error<UserError>([&] { reader.at("layer.unknown.attention.weight"); }, {"no tensor"});
  refused(many(1'200'000), 0, {"more than 200000 names"});
}

TEST_F(Header, RepeatedKeysAreNotSettledInSilence) {
  const std::string a = R"("a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]})";
  refused("{" + a + "," + a + "}", 1, {"'a' twice"});
  refused(R"({"a":{"dtype":"U8","dtype":"I8","shape":[1],"data_offsets":[0,1]}})", 1, {"'dtype' twice"});
  refused(R"({"__metadata__":{"k":"1","k":"2"}})", 0, {"'k' twice"});
}

TEST_F(Header, EachTensorHasExactlyItsThreeKeys) {
  refused(R"({"a":{"dtype":"U8","shape":[1]}})", 1, {"tensor 'a'", "exactly"});
  refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1],"x":1}})", 1, {"tensor 'a'", "exactly"});
  refused(R"({"a":[1,2,3]})", 1, {"tensor 'a'"});
  refused(R"({"a":null})", 0, {"tensor 'a'"});
}

TEST_F(Header, DTypesShapesAndOffsetsAreChecked) {
  refused(R"({"a":{"dtype":"F8","shape":[1],"data_offsets":[0,1]}})", 1, {"tensor 'a'", "F8", "BF16"});
  refused(R"({"a":{"dtype":5,"shape":[1],"data_offsets":[0,1]}})", 1, {"dtype 5"});
  refused(R"({"a":{"dtype":"U8","shape":3,"data_offsets":[0,3]}})", 3, {"shape 3"});
  refused(R"({"a":{"dtype":"U8","shape":[-1],"data_offsets":[0,1]}})", 1, {"-1"});
  refused(R"({"a":{"dtype":"U8","shape":[1.0],"data_offsets":[0,1]}})", 1, {"1.0"});
  refused(R"({"a":{"dtype":"U8","shape":["1"],"data_offsets":[0,1]}})", 1, {"size"});
  refused(R"({"a":{"dtype":"U8","shape":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1],"data_offsets":[0,1]}})", 1, {"16"});
  refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0]}})", 1, {"offsets", "[begin, end]"});
  refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1.5]}})", 1, {"1.5"});
  refused(R"({"a":{"dtype":"U8","shape":[1],"data_offsets":[1,0]}})", 1, {"expected 1 bytes"});
  refused(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8, {"expected 12 bytes", "F32 [3]"});
  refused(R"({"a":{"dtype":"F64","shape":[4294967296,4294967296],"data_offsets":[0,0]}})", 0, {"overflow"});
  refused(R"({"a":{"dtype":"F64","shape":[2305843009213693952],"data_offsets":[0,0]}})", 0, {"overflow"});
  refused(R"({"a":{"dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,0]}})", 0, {"9223372036854775808"});
}

TEST_F(Header, EveryTypeOfTheFormatIsListed) {
  const std::vector<std::pair<std::string, int>> bits = {
      {"U64", 64},    {"U32", 32},    {"U16", 16},        {"C64", 64},        {"F8_E4M3", 8}, {"F8_E5M2", 8},
      {"F8_E8M0", 8}, {"F6_E2M3", 6}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F6_E3M2", 6}, {"F4", 4}};
  for (const auto& [name, width] : bits) {
    const auto bytes = static_cast<std::size_t>(width) * 2;
    accepted(cat(R"({"a":{"dtype":")", name, R"(","shape":[4,4],"data_offsets":[0,)", bytes, "]}}"), bytes);
    EXPECT_EQ(safetensors::name_of(safetensors::Reader(path_).at("a").dtype), name);
  }
  refused(R"({"a":{"dtype":"F4","shape":[3],"data_offsets":[0,2]}})", 2, {"tensor 'a'", "F4", "no whole number"});
}

TEST_F(Header, AFileOfSomethingElseIsCalledByItsName) {
  using namespace std::string_literals;
  refused_file("version https://git-lfs.github.com/spec/v1\noid sha256:" + std::string(64, 'a') + "\nsize 5676070424\n",
               {"found a Git LFS pointer in place of the file, expected a safetensors file; fetch", "git lfs pull"});
  refused_file("<!DOCTYPE html><html><title>401</title>sign in</html>\n", {"a web page"});
  refused_file("{\"error\": \"Repository not found\"}", {"JSON text in place of the file"});
  refused_file("PK\3\4\x14\0\0\0\0\0archive/data.pkl"s, {"a zip archive", "torch.save"});
  refused_file("\x80\2}q\0(X\5\0\0\0first"s, {"a bare pickle"});
  refused_file("\x89HDF\r\n\x1A\n\0\0\0\0"s, {"an HDF5 file"});
  refused_file("GGUF\3\0\0\0\0\0\0\0"s, {"a GGUF file"});
  refused_file(std::string(4096, '\0'), {"nothing but zeros"});
}

TEST_F(Header, DataHasNeitherHolesNorOverlaps) {
  const auto two = [](int a0, int a1, int b0, int b1) {
    return cat(R"({"a":{"dtype":"U8","shape":[)", a1 - a0, R"(],"data_offsets":[)", a0, ',', a1,
               R"(]},"b":{"dtype":"U8","shape":[)", b1 - b0, R"(],"data_offsets":[)", b0, ',', b1, "]}}");
  };
  accepted(two(0, 4, 4, 8), 8);
  refused(two(0, 4, 5, 9), 9, {"tensor 'b'", "hole"});
  refused(two(0, 4, 3, 7), 7, {"tensor 'b'", "overlap"});
  refused(two(0, 4, 0, 4), 4, {"overlap"});
  refused(two(1, 4, 4, 8), 8, {"tensor 'a'", "hole"});
}

TEST_F(Header, MetadataAreNamesAndStrings) {
  refused(R"({"__metadata__":3})", 0, {"__metadata__"});
  refused(R"({"__metadata__":{"k":3}})", 0, {"'k'", "a string"});
}

TEST_F(Header, OnlyRegularFilesAreOpened) {
  expect_error<UserError>([&] { safetensors::Reader reader(folder_.path()); }, {"not a regular file"});
  expect_error<UserError>([&] { safetensors::Reader reader("/dev/null"); }, {"not a regular file"});
  expect_error<UserError>([&] { safetensors::Reader reader(folder_ / "none"); }, {"No such file"});
}

/// Touches every byte that an opened file promises.
std::uint64_t read_all(const safetensors::Reader& reader) {
  std::uint64_t sum = 0;
  for (const auto& tensor : reader.tensors()) {
    for (const std::byte b : reader.bytes(tensor)) sum += static_cast<std::uint64_t>(b);
  }
  return sum;
}

TEST_F(Header, RandomMutationsAreReadOrRefusedNeverACrash) {
  const std::string good = file_of(kTwo, 10, std::strlen(kTwo));
  Rng rng(3, "test.safetensors.fuzz");
  int refused = 0;
  std::uint64_t total = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string content = good;
    for (std::uint64_t edits = 1 + rng.below(3); edits > 0; --edits) {
      // Half of the edits hit the length and the header's start, where the damage is worst.
      const std::size_t at = rng.below(rng.below(2) == 0 ? std::min<std::size_t>(12, content.size()) : content.size());
      switch (rng.below(4)) {
        case 0:
          content[at] = static_cast<char>(rng.below(256));
          break;
        case 1:
          content[at] = "0123456789{}[],:\"-"[rng.below(18)];
          break;
        case 2:
          content.erase(at, 1 + rng.below(4));
          break;
        default:
          content.insert(at, 1, static_cast<char>('0' + rng.below(10)));
      }
      if (content.empty()) content.push_back('x');
    }
    std::FILE* file = std::fopen(path_.c_str(), "wb");
    std::fwrite(content.data(), 1, content.size(), file);
    std::fclose(file);
    try {
      const safetensors::Reader reader(path_);
      total += read_all(reader);
    } catch (const UserError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1500);
  EXPECT_LE(refused, 2000);
  EXPECT_GT(total, 0U);
}

}  // namespace
}  // namespace rehyat
