#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/safetensors.h"

namespace rehyat {
namespace {

using safetensors::DType;
using safetensors::Item;
using testing::expect_error;
using testing::TempFolder;

std::span<const std::byte> bytes_of(const std::string& text) {
  return std::as_bytes(std::span<const char>(text.data(), text.size()));
}

TEST(Safetensors, WhatIsWrittenIsReadBack) {
  const TempFolder folder;
  const std::string first = "abcdefgh", second = "xyz", none;
  safetensors::write(folder / "a",
                     {{"z.first", DType::f32, {1, 2}, bytes_of(first)},
                      {"a \"quoted\" name", DType::u8, {3}, bytes_of(second)},
                      {"empty", DType::i64, {0, 4}, bytes_of(none)}},
                     {{"format", "pt"}, {"note", "ü\n"}});
  const safetensors::Reader reader(folder / "a");
  ASSERT_EQ(reader.tensors().size(), 3U);
  EXPECT_EQ(reader.tensors()[0].name, "z.first");  // the order given, not the alphabet's
  EXPECT_EQ(reader.metadata().at("note"), "ü\n");
  const auto& info = reader.at("a \"quoted\" name");
  EXPECT_EQ(std::string(reinterpret_cast<const char*>(reader.bytes(info).data()), 3), "xyz");
  EXPECT_EQ(reader.at("empty").shape, (std::vector<std::int64_t>{0, 4}));
  EXPECT_EQ(reader.find("none"), nullptr);
  expect_error<UserError>([&] { reader.at("z.frist"); }, {"z.frist", "the nearest is 'z.first'"});
}

TEST(Safetensors, TheSameInputGivesTheSameBytesAndAlignedData) {
  const TempFolder folder;
  const std::string data(16, 'd');
  for (const char* name : {"a", "b"})
    safetensors::write(folder / name, {{"t", DType::f64, {2}, bytes_of(data)}}, {{"k", "v"}});
  const std::string content = read_file(folder / "a");
  EXPECT_EQ(content, read_file(folder / "b"));
  EXPECT_EQ((content.size() - data.size()) % 8, 0U);
  // The whole file, byte by byte, as the format's description has it.
  const std::string header = R"({"__metadata__":{"k":"v"},"t":{"dtype":"F64","shape":[2],"data_offsets":[0,16]}})";
  EXPECT_EQ(content.substr(8, header.size()), header);
  EXPECT_EQ(static_cast<unsigned char>(content[0]), (header.size() + 7) / 8 * 8);
}

TEST(Safetensors, AReaderOutlivesItsFileAndItself) {
  const TempFolder folder;
  const std::string data = "12345678";
  safetensors::write(folder / "a", {{"t", DType::u8, {8}, bytes_of(data)}});
  std::shared_ptr<const void> mapping;
  std::span<const std::byte> bytes;
  {
    safetensors::Reader first(folder / "a");
    const safetensors::Reader reader(std::move(first));
    mapping = reader.mapping();
    bytes = reader.bytes(reader.at("t"));
  }
  safetensors::write(folder / "a", {});
  EXPECT_EQ(static_cast<char>(bytes[7]), '8');
}

TEST(Safetensors, WritingRefusesWhatReadingWould) {
  const TempFolder folder;
  const std::string data(8, 'x');
  const Item good{"t", DType::f32, {2}, bytes_of(data)};
  expect_error<UserError>([&] { safetensors::write(folder / "a", {good, good}); }, {"'t' twice"});
  expect_error<UserError>(
      [&] {
        safetensors::write(folder / "a", {{"t", DType::f32, {3}, bytes_of(data)}});
      },
      {"tensor 't'", "8 bytes", "F32 [3]"});
  expect_error<UserError>(
      [&] {
        safetensors::write(folder / "a", {{"t", DType::f32, {-2}, bytes_of(data)}});
      },
      {"tensor 't'"});
  expect_error<UserError>(
      [&] {
        safetensors::write(folder / "a", {{"__metadata__", DType::f32, {2}, bytes_of(data)}});
      },
      {"__metadata__"});
  EXPECT_FALSE(std::filesystem::exists(folder / "a"));
}

TEST(Safetensors, EveryDTypeHasItsSizeAndName) {
  const std::vector<std::pair<std::string, std::size_t>> expected = {{"F64", 8}, {"F32", 4}, {"F16", 2}, {"BF16", 2},
                                                                     {"I64", 8}, {"I32", 4}, {"I16", 2}, {"I8", 1},
                                                                     {"U8", 1},  {"BOOL", 1}};
  for (std::size_t i = 0; i < expected.size(); ++i) {
    EXPECT_EQ(safetensors::name_of(static_cast<DType>(i)), expected[i].first);
    EXPECT_EQ(safetensors::size_of(static_cast<DType>(i)), expected[i].second);
  }
}

}  // namespace
}  // namespace rehyat
