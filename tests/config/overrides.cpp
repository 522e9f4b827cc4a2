#include <gtest/gtest.h>

#include "core/expect_error.h"
#include "example.h"

namespace rehyat::testing {
namespace {

const std::string kFile = "title: a\nnote: b\nfolder: c\nprompts: [d, e]\nstages: [{name: x}]\n";

Experiment with(const std::string& override_text) {
  return parse(kFile, {override_text});
}

const std::vector<std::string> kHardTexts = {
    "Take #3 of 5", "blurry, take #2, text",
    "# all of it",  "! bang",
    "%20 x",        "\"quoted\" word",
    "*bold*",       "&anchor",
    "---",          "--- x",
    "...",          "a: b",
    ": ",           "key: [1",
    "[not a list]", "{not: a map}",
    "null",         "~",
    "true",         "1e5",
    " in blanks ",  "\ttab",
    "it's",         "'single'",
    "\"double\"",   "@",
    "`x`",          "a\\nb",
    "two\nlines",   "- item",
    "? key",        "| block",
    "> folded",     "a=b=c",
    "\xE7\x8C\xAB", "\"open",
};

TEST(ConfigOverride, TextIsTakenAsItStands) {
  for (const std::string& text : kHardTexts) {
    EXPECT_EQ(with("title=" + text).title, text);
    EXPECT_EQ(with("prompts.1=" + text).prompts, (std::vector<std::string>{"d", text}));
    EXPECT_EQ(with("stages.0.name=" + text).stages.at(0).name, text);
  }
  EXPECT_EQ(with("title=").title, "");
}

TEST(ConfigOverride, ItSurvivesTheResolvedYaml) {
  for (const std::string& text : kHardTexts)
    EXPECT_EQ(parse(config::yaml(config::to_json(with("title=" + text)))).title, text);
}

TEST(ConfigOverride, AnOptionalTextIsNullWhereNothingOrNullIsGiven) {
  for (const char* text : {"", "null", "~"}) EXPECT_FALSE(with(std::string("note=") + text).note.has_value()) << text;
  for (const std::string& text : kHardTexts) {
    if (text == "null" || text == "~") continue;
    EXPECT_EQ(with("note=" + text).note, text);
  }
}

TEST(ConfigOverride, APathIsTakenAsItStandsButForTheQuotesAroundIt) {
  for (const char* text : {"a #1", "2026-11-28T05:17:15", "exp:1/x", "a {b} 100% #1 50%d \xC3\xA9", " a ", "", "it's"})
    EXPECT_EQ(with(std::string("folder=") + text).folder, text);
  EXPECT_EQ(with("folder=\"2026-11-28T05:17:15\"").folder, "2026-11-28T05:17:15");
  EXPECT_EQ(with("folder='a \"b\"'").folder, "a \"b\"");
  EXPECT_EQ(with("folder=\"a\" # \"b\"").folder, "\"a\" # \"b\"");
}

TEST(ConfigOverride, AChoiceIsTakenAsItStands) {
  EXPECT_EQ(with("distill.loss=mse").distill.loss, Loss::mse);
  expect_error<UsageError>([] { with("distill.loss=mse # or l1"); }, {"'distill.loss'", "\"mse # or l1\"", "one of"});
}

TEST(ConfigOverride, EveryOtherSettingReadsYaml) {
  EXPECT_EQ(with("scales=[1, 2]  # two").scales, (std::vector<double>{1, 2}));
  EXPECT_EQ(with("prompts=['a #b', c]").prompts, (std::vector<std::string>{"a #b", "c"}));
  EXPECT_EQ(with("seed= 7 ").seed, 7U);
  EXPECT_EQ(with("stages=[{name: 'y: z', steps: 2}]").stages.at(0).name, "y: z");
  expect_error<UsageError>([] { with("seed=\"7\""); }, {"'seed'", "found \"\"7\"\"", "a whole number"});
  expect_error<UsageError>([] { with("seed=# 7"); }, {"'seed'", "found \"# 7\"", "a whole number"});
  expect_error<UsageError>([] { with("seed=*x"); }, {"override 'seed=*x'", "not YAML"});
  expect_error<UsageError>([] { with("scales=[1"); }, {"override 'scales=[1'"});
  expect_error<UsageError>([] { with("distill={lr: 1"); }, {"override 'distill={lr: 1'"});
  expect_error<UsageError>([] { with("stages=- x: ["); }, {"override", "not YAML"});
}

TEST(ConfigOverride, ALaterOneReachesIntoAnEarlierOne) {
  const Experiment e =
      parse(kFile, {"stages=[{name: y}, {name: z}]", "stages.1.name=w #2", "prompts=[a, b]", "prompts.0=c: d"});
  EXPECT_EQ(e.stages.at(0).name, "y");
  EXPECT_EQ(e.stages.at(1).name, "w #2");
  EXPECT_EQ(e.prompts, (std::vector<std::string>{"c: d", "b"}));
}

}  // namespace
}  // namespace rehyat::testing
