#include <gtest/gtest.h>

#include "core/expect_error.h"
#include "core/rng.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "example.h"
#include "files/atomic_file.h"

namespace rehyat::testing {
namespace {

std::string repeat(const std::string& text, int times) {
  std::string out;
  for (int i = 0; i < times; ++i) out += text;
  return out;
}

TEST(ConfigLimits, AnAliasBombIsStoppedBeforeItGrows) {
  std::string bomb = "title: a\nl0: &l0 [x, x, x, x, x, x, x, x, x, x]\n";
  for (int i = 1; i < 12; ++i) {
    const std::string last = cat("*l", i - 1);
    bomb += cat("l", i, ": &l", i, " [", repeat(last + ", ", 4), last, "]\n");
  }
  expect_error<UsageError>([&] { parse(bomb); }, {"run.yaml:", "more than"});
}

TEST(ConfigLimits, FewAliasesWork) {
  const Experiment e = parse("title: a\nscales: &s [3, 4]\nblocks: {list: [1]}\nprompts: [&p hello, *p]\n");
  EXPECT_EQ(e.prompts, (std::vector<std::string>{"hello", "hello"}));
  expect_error<UsageError>([&] { parse("title: &t [*t]\n"); }, {"run.yaml:1:"});
}

TEST(ConfigLimits, DeepNestingIsRefusedInEveryStyle) {
  std::string blocks;
  for (int i = 0; i < 300; ++i) blocks += std::string(static_cast<std::size_t>(i), ' ') + "a:\n";
  for (const std::string& text :
       {"title: " + repeat("[", 100'000), "title: " + repeat("{a: ", 100'000), "title: " + repeat("- ", 100'000) + "x",
        repeat("? ", 100'000), blocks, "title: " + repeat("[", 40) + repeat("]", 40)}) {
    expect_error<UsageError>([&] { parse(text); }, {"run.yaml"});
  }
}

TEST(ConfigLimits, ALongLineIsNotADeepOne) {
  std::string map = "title: a\nextra: {k: 0";
  for (int i = 0; i < 400; ++i) map += cat(", k", i, ": 1");
  expect_error<UsageError>([&] { parse(map + "}\n"); }, {"unknown key 'extra'"});
}

TEST(ConfigLimits, ManyValuesAreRefused) {
  expect_error<UsageError>([&] { parse("title: a\nscales: [" + repeat("1,", 200'000) + "1]\n"); },
                           {"run.yaml:2:", "more than 100000 values"});
}

TEST(ConfigLimits, AHugeFileIsRefusedBeforeItIsParsed) {
  const TempFolder folder;
  write_file_atomic(folder / "big.yaml", "title: a\n" + repeat("# filler\n", 300'000));
  expect_error<UsageError>([&] { config::Document::from_file(folder / "big.yaml"); }, {"big.yaml", "smaller file"});
  expect_error<UsageError>([&] { parse("title: " + repeat("x", 2 << 20)); }, {"run.yaml", "at most"});
}

TEST(ConfigLimits, SeveralDocumentsAreRefused) {
  expect_error<UsageError>([&] { parse("title: a\n---\ntitle: b\n"); }, {"run.yaml", "more than one YAML document"});
  EXPECT_EQ(parse("---\ntitle: a\n").title, "a");
}

TEST(ConfigLimits, LongTextIsCutInMessages) {
  try {
    parse("title: a\nseed: " + repeat("x", 100'000) + "\n");
    FAIL();
  } catch (const UsageError& error) {
    EXPECT_LT(std::string(error.what()).size(), 500U);
  }
}

TEST(ConfigLimits, RandomMutationsNeverDoAnythingButParseOrRefuse) {
  const std::string good =
      "title: a\nseed: 3\nquota: 5GB\nscales: [1, 2]\nblocks: [0, 3]\ndistill: {lr: 1e-4, phi: {degree: 3}}\n"
      "ema: {decay: 0.9}\nstages:\n  - name: x\n    steps: 4\n  - {name: \"y\"}\n";
  const std::string alphabet =
      "{}[]:,-?&*!|>'\"%@`#~ \n\t\x80\xff"
      "a0.";
  Rng rng(11, "test.config.fuzz");
  int refused = 0;
  for (int round = 0; round < 2000; ++round) {
    std::string text = good;
    for (std::uint64_t edits = 1 + rng.below(4); edits > 0; --edits) {
      const std::size_t at = rng.below(text.size());
      switch (rng.below(3)) {
        case 0:
          text[at] = alphabet[rng.below(alphabet.size())];
          break;
        case 1:
          text.insert(at, 1, alphabet[rng.below(alphabet.size())]);
          break;
        default:
          text.erase(at, 1 + rng.below(5));
      }
    }
    try {
      parse(text);
    } catch (const UsageError&) {
      ++refused;
    }
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace rehyat::testing
