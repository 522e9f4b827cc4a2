#include "core/hash.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

TEST(Hash, IsThePublishedXxh3Of128Bits) {
  EXPECT_EQ(hash_text(""), "99aa06d3014798d86001c324468d497f");
  EXPECT_EQ(hash_text("abc"), "06b05ab6733a618578af5f94892f3950");
}

TEST(Hash, PartsBytesAndFilesAgree) {
  std::string text;
  for (int i = 0; i < 3'000'000; ++i) text.push_back(static_cast<char>(i * 7 + i / 251));
  const std::string expected = hash_text(text);
  EXPECT_EQ(hash_bytes(text.data(), text.size()), expected);
  Hasher hasher;
  for (std::size_t at = 0, step = 1; at < text.size(); at += step, step = step * 3 + 1)
    hasher.update(std::string_view(text).substr(at, step)).update("");
  EXPECT_EQ(hasher.digest(), expected);
  EXPECT_EQ(hasher.digest(), expected);  // a digest may be taken on the way
  const testing::TempFolder folder;
  write_file_atomic(folder / "a", text);
  EXPECT_EQ(hash_file(folder / "a"), expected);
  write_file_atomic(folder / "empty", "");
  EXPECT_EQ(hash_file(folder / "empty"), hash_text(""));
  text[1'234'567] ^= 1;
  EXPECT_NE(hash_text(text), expected);
}

TEST(Hash, AMissingFileIsNamed) {
  const testing::TempFolder folder;
  testing::expect_error<UserError>([&] { hash_file(folder / "none"); }, {"/none", "cannot be read"});
  testing::expect_error<UserError>([&] { hash_file(folder.path()); }, {folder.path().string()});
}

}  // namespace
}  // namespace rehyat
