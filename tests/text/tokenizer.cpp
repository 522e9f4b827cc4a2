#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/fixtures.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat::text {
namespace {

using Ids = std::vector<std::int64_t>;
using rehyat::testing::expect_error;
using rehyat::testing::TempFolder;

const std::filesystem::path kFixtures = testing::fixtures() / "text" / "tokenizer";

void expect_table(const std::string& name) {
  const Tokenizer tokenizer(kFixtures / name);
  EXPECT_EQ(tokenizer.padding(), 0);
  const auto table = nlohmann::json::parse(read_file(kFixtures / (name + ".json")));
  ASSERT_GE(table.size(), 150U);
  for (const auto& row : table) {
    const Ids ids = row["ids"];
    EXPECT_EQ(tokenizer.encode(row["text"].get<std::string>(), row["length"]), ids) << row.dump(-1, ' ', true);
  }
}

TEST(Tokenizer, EqualsTheOriginalFromASentencePieceModel) {
  expect_table("spiece");
}

TEST(Tokenizer, EqualsTheOriginalFromTokenizerJson) {
  expect_table("extra");
}

TEST(Tokenizer, ExtraIdsFollowTheConfig) {
  const TempFolder folder;
  std::filesystem::copy(kFixtures / "spiece" / "spiece.model", folder / "tokenizer.model");
  const Tokenizer plain(folder.path());
  EXPECT_EQ(plain.size(), 600);
  EXPECT_EQ(plain.encode("<extra_id_0>", 9), (Ids{599, 1}));
  std::ofstream(folder / "tokenizer_config.json") << R"({"extra_ids": 3, "eos_token": {"content": "</s>"},
    "added_tokens_decoder": {"510": {"content": "<own>", "special": true}}})";
  const Tokenizer few(folder.path());
  EXPECT_EQ(few.size(), 511);
  EXPECT_EQ(few.encode("<extra_id_0><own></s>", 9), (Ids{502, 510, 1, 1}));
  EXPECT_NE(few.fingerprint(), plain.fingerprint());
  EXPECT_EQ(plain.fingerprint(), Tokenizer(kFixtures / "spiece" / "spiece.model").fingerprint());
}

TEST(Tokenizer, RefusesWhatItCannotRead) {
  const TempFolder folder;
  const auto refuse = [&](const std::vector<std::string>& parts) {
    expect_error<UserError>([&] { Tokenizer tokenizer(folder.path()); }, parts);
  };
  const auto write = [&](const char* name, const std::string& text) { std::ofstream(folder / name) << text; };
  refuse({"neither tokenizer.json nor spiece.model"});
  write("tokenizer.model", "x");
  write("sentencepiece.model", "x");
  refuse({"tokenizer.model and sentencepiece.model", "the tokenizer", "move the one that is not meant"});
  write("spiece.model", "\x0a\xff");
  refuse({"spiece.model", "damaged data"});
  write("spiece.model", "version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 4548313\n");
  refuse({"spiece.model: found a Git LFS pointer", "git lfs pull"});
  write("spiece.model", "");
  refuse({"spiece.model", "no pieces"});
  write("tokenizer.json", "[");
  refuse({"tokenizer.json", "not JSON"});
  write("tokenizer.json", R"({"model": {"type": "BPE", "vocab": {}}})");
  refuse({"tokenizer.json", "no unigram model"});
  write("tokenizer.json", R"({"model": {"vocab": [["a", 0]], "unk_id": 0}})");
  refuse({"no token '</s>'"});
  const std::string vocab = R"([["<pad>", 0], ["</s>", 0], ["<unk>", 0], ["a", -1]])";
  write("tokenizer.json", R"({"model": {"vocab": )" + vocab + R"(, "unk_id": 4}})");
  refuse({"unknown token's id 4", "one of 4 pieces"});
  write("tokenizer.json", R"({"model": {"vocab": )" + vocab +
                              R"(, "unk_id": 2}, "added_tokens": [{"content": "x", "id": 9, "single_word": true}]})");
  refuse({"\"x\" with single_word"});
  write("tokenizer.json",
        R"({"model": {"vocab": )" + vocab +
            R"(, "unk_id": 2}, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "AAA*"}})");
  refuse({"no base64"});
  write("tokenizer.json",
        R"({"model": {"vocab": )" + vocab +
            R"(, "unk_id": 2}, "normalizer": {"type": "Precompiled", "precompiled_charsmap": "/////w=="}})");
  refuse({"expected it to fit"});
  write("tokenizer.json", R"({"model": {"vocab": )" + vocab + R"(, "unk_id": 2}})");
  const Tokenizer tokenizer(folder.path());
  EXPECT_EQ(tokenizer.encode("aa", 4), (Ids{2, 3, 3, 1}));
  expect_error<UserError>([&] { tokenizer.encode("a", 0); }, {"length of 0"});
}

TEST(Tokenizer, EveryTruncationOfAModelEndsInASentenceOrATokenizer) {
  const TempFolder folder;
  const std::string good = read_file(kFixtures / "spiece" / "spiece.model");
  for (std::size_t size = 0; size < good.size(); size += 997) {
    std::ofstream(folder / "spiece.model", std::ios::binary) << good.substr(0, size);
    try {
      (void)Tokenizer(folder.path()).encode("a cat \u00BD", 16);
    } catch (const UserError&) {
    }
  }
}

/// Found by tests/mutation: values of other types, and a map of characters with bytes that are none.
TEST(Tokenizer, DamageInsideOfTheFilesIsNamed) {
  const TempFolder folder;
  const std::string model = R"("model": {"vocab": [["<pad>", 0], ["</s>", 0], ["<unk>", 0], ["a", -1]], "unk_id": 2})";
  const auto refuse = [&](const std::string& rest, const std::vector<std::string>& parts,
                          const std::string& config = "") {
    std::ofstream(folder / "tokenizer.json") << "{" << model << rest << "}";
    std::ofstream(folder / "tokenizer_config.json") << (config.empty() ? "{}" : config);
    expect_error<UserError>([&] { Tokenizer(folder.path()).encode("ab", 9); }, parts);
  };
  refuse(R"(, "normalizer": {"type": 3})", {"tokenizer.json: \"type\"", "the value 3", "a text"});
  refuse(R"(, "added_tokens": [{"content": "x", "id": 9, "single_word": "no"}])",
         {"single_word", "\"no\"", "true or false"});
  refuse(R"(, "added_tokens": [{"content": "x", "id": 9223372036854775807}])", {"content or id"});
  refuse("", {"tokenizer_config.json", "single_word"},
         R"({"added_tokens_decoder": {"1": {"content": "</s>", "single_word": 1}}})");
  // A trie that maps "a" to the bytes FF FE.
  std::string blob(4 + 512 * 4, '\0');
  const auto unit = [&](std::size_t at, std::uint32_t value) { std::memcpy(blob.data() + 4 + 4 * at, &value, 4); };
  const std::uint32_t bytes = 512 * 4;
  std::memcpy(blob.data(), &bytes, 4);
  unit(0, 256U << 10);                                   // the root's children begin at 256
  unit(256 ^ 'a', 'a' | 1U << 8 | (('a' + 32U) << 10));  // a leaf follows
  unit((256 ^ 'a') ^ ('a' + 32U), 1U << 31);             // the text at byte 0
  blob += "\xFF\xFE";
  constexpr std::string_view digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string base64;
  for (std::size_t i = 0; i + 2 < blob.size() + 2; i += 3) {
    std::uint32_t three = 0;
    for (std::size_t j = i; j < i + 3; ++j)
      three = three << 8 | (j < blob.size() ? static_cast<unsigned char>(blob[j]) : 0U);
    for (int shift = 18; shift >= 0; shift -= 6) base64 += digits[three >> shift & 63];
  }
  refuse(R"(, "normalizer": {"type": "Precompiled", "precompiled_charsmap": ")" + base64 + "\"}",
         {"tokenizer.json", "map of characters", "no UTF-8"});
}

}  // namespace
}  // namespace rehyat::text
