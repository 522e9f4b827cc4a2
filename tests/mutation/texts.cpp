#include <gtest/gtest.h>

#include "core/fixtures.h"
#include "core/strings.h"
#include "mutation/crafted.h"
#include "mutation/runner.h"
#include "text/clean.h"
#include "text/tokenizer.h"

namespace rehyat::testing {
namespace {

namespace fs = std::filesystem;

const std::string kPrompt = "a <pad> caf\xC3\xA9 \xE2\x96\x81</s> \xC2\xBD cat <extra_id_0> \xF0\x9F\x98\x80";

void use_tokenizer(const fs::path& folder) {
  const text::Tokenizer tokenizer(folder);
  for (const std::int64_t id : tokenizer.encode(text::clean_prompt(kPrompt), 64))
    if (id < 0 || id >= tokenizer.size()) throw std::logic_error(cat("the id ", id, " of ", tokenizer.size()));
}

/// A vocabulary of a few pieces, so that a change is seldom lost in it.
constexpr const char* kTokenizer = R"({
  "added_tokens": [{"id": 0, "content": "<pad>", "special": true}, {"id": 8, "content": "<extra_id_0>"}],
  "normalizer": {"type": "Sequence", "normalizers": [{"type": "Precompiled",
    "precompiled_charsmap": "CAAAAAEBAAAAAAAAYQBiAA=="}]},
  "model": {"type": "Unigram", "unk_id": 2, "vocab": [["<pad>", 0.0], ["</s>", 0.0], ["<unk>", 0.0], ["\u2581a", -2.5],
    ["\u2581", -3.5], ["c", -4.0], ["at", -1.25], ["\u00e9", -6.0]]}
})";
constexpr const char* kTokenizerConfig = R"({"eos_token": {"content": "</s>"}, "pad_token": "<pad>", "extra_ids": 2,
  "added_tokens_decoder": {"1": {"content": "</s>", "special": true, "single_word": false}}})";

TEST(Mutation, tokenizer) {
  ReaderCase reader;
  reader.name = "tokenizer";
  reader.seeds = {{{"tokenizer.json", kTokenizer}, {"tokenizer_config.json", kTokenizerConfig}}};
  reader.words = {"\"single_word\"", "\"Precompiled\"", "\"unk_id\"", "\"type\"", "\\ud800", "\"content\"", "\"BPE\""};
  reader.crafted = {[](FileTree& tree, Mutator& m) {
    change_json_file(tree, m.chance(70) ? "tokenizer.json" : "tokenizer_config.json", m);
  }};
  reader.read = use_tokenizer;
  expect_no_faults(reader);
}

TEST(Mutation, sentencepiece) {
  ReaderCase reader;
  reader.name = "sentencepiece";
  reader.seeds = {read_tree(fixtures() / "text" / "tokenizer" / "spiece")};
  reader.seeds.front()["tokenizer_config.json"] = kTokenizerConfig;
  reader.words = {"\x0a", "\x12", "\x1a", "\xE2\x96\x81", "</s>", "<unk>"};
  reader.crafted = {[](FileTree& tree, Mutator& m) { change_json_file(tree, "tokenizer_config.json", m); }};
  reader.read = use_tokenizer;
  expect_no_faults(reader);
}

}  // namespace
}  // namespace rehyat::testing
