#include <gtest/gtest.h>

#include "core/expect_error.h"
#include "core/temp_folder.h"
#include "example.h"
#include "files/atomic_file.h"

namespace rehyat::testing {
namespace {

const char* const kFull = R"(title: "12"
seed: 18446744073709551615
folder: runs/y
quota: 1.5GB
scales: [1, 1e-3, -2.5]
prompts: ["a: b", 'it''s', "true", "", "null", "zwei\nZeilen", "# no comment", " padded ", 猫]
clip: 0.1
limit: ~
note: "null"
blocks: [0, 3, 29]
distill:
  lr: 1.0e-4
  loss: huber
  shuffle: false
  phi: {degree: 3}
ema: {decay: 0.9999}
stages:
  - {name: cache, steps: 5}
  - name: distill
)";

void expect_full(const Experiment& e) {
  EXPECT_EQ(e.title, "12");
  EXPECT_EQ(e.seed, 18446744073709551615ULL);
  EXPECT_EQ(e.folder, "runs/y");
  EXPECT_EQ(e.quota, 1'500'000'000);
  EXPECT_EQ(e.scales, (std::vector<double>{1, 1e-3, -2.5}));
  EXPECT_EQ(e.prompts, (std::vector<std::string>{"a: b", "it's", "true", "", "null", "zwei\nZeilen", "# no comment",
                                                 " padded ", "猫"}));
  EXPECT_EQ(e.clip, 0.1);
  EXPECT_FALSE(e.limit.has_value());
  EXPECT_EQ(e.note, "null");
  EXPECT_EQ(e.blocks.list, (std::vector<std::int64_t>{0, 3, 29}));
  EXPECT_EQ(e.blocks.pattern, "interleaved");
  EXPECT_EQ(e.distill.lr, 1e-4);
  EXPECT_EQ(e.distill.iterations, 10000);
  EXPECT_EQ(e.distill.loss, Loss::huber);
  EXPECT_FALSE(e.distill.shuffle);
  EXPECT_EQ(e.distill.phi.degree, 3);
  ASSERT_TRUE(e.ema.has_value());
  EXPECT_EQ(e.ema->decay, 0.9999);
  EXPECT_EQ(e.ema->start, "now");
  ASSERT_EQ(e.stages.size(), 2U);
  EXPECT_EQ(e.stages[0].steps, 5);
  EXPECT_EQ(e.stages[1].name, "distill");
  EXPECT_EQ(e.stages[1].steps, 10);
}

TEST(Config, AnOverrideBelowAShortFormReplacesIt) {
  EXPECT_EQ(parse(kFull, {"blocks.list=[7]"}).blocks.list, (std::vector<std::int64_t>{7}));
  EXPECT_EQ(parse(kFull, {"blocks.1=4"}).blocks.list, (std::vector<std::int64_t>{0, 4, 29}));
  const Experiment other = parse(kFull, {"blocks.pattern=first"});
  EXPECT_TRUE(other.blocks.list.empty());
  EXPECT_EQ(other.blocks.pattern, "first");
}

TEST(Config, EveryKindOfFieldIsRead) {
  expect_full(parse(kFull));
}

TEST(Config, TheResolvedYamlReadsBackToTheSameSettings) {
  const Experiment first = parse(kFull);
  const std::string yaml = config::yaml(config::to_json(first));
  const Experiment again = parse(yaml);
  expect_full(again);
  EXPECT_EQ(config::yaml(config::to_json(again)), yaml);
  expect_full(config::from_json<Experiment>(config::to_json(first), "state.json"));
  // Absent optional parts stay absent.
  const Experiment plain = parse(config::yaml(config::to_json(parse("title: ''\n"))));
  EXPECT_FALSE(plain.ema.has_value());
  EXPECT_FALSE(plain.clip.has_value());
  EXPECT_FALSE(plain.note.has_value());
  EXPECT_TRUE(plain.stages.empty());
  EXPECT_EQ(plain.title, "");
}

TEST(Config, HardTextSurvivesTheResolvedYaml) {
  for (const std::string& text : std::vector<std::string>{
           "yes",      "1e5",          "0x10", "-",   "---",  "a #b", "\t", "\r\n",       "\\n",  "\"", "'",
           "~",        "*a",           "&a",   "!x",  "%",    "@",    "`",  "key: value", "\x01", "é",  "😀",
           "\xC2\x85", "\xE2\x80\xA8", "/a/b", "off", "True", "NULL", "n"}) {
    Experiment e;
    e.title = text;
    e.prompts = {text, text};
    e.note = text;
    const Experiment again = parse(config::yaml(config::to_json(e)));
    EXPECT_EQ(again.title, text);
    EXPECT_EQ(again.prompts, e.prompts);
    EXPECT_EQ(again.note, text);
  }
}

TEST(Config, NumbersSurviveTheResolvedYamlBitForBit) {
  for (const double value : {1e-300, 0.1, 1.0 / 3, 1e-5, 0.999999999999, 5e-324}) {
    Experiment e;
    e.title = "x";
    e.scales = {value, -value, 1e300 * value, 0.0};
    EXPECT_EQ(parse(config::yaml(config::to_json(e))).scales, e.scales);
  }
}

TEST(Config, OverridesWin) {
  const Experiment e =
      parse(kFull, {"distill.lr=0.25", "stages.1.steps=7", "ema.decay=0.5", "blocks=[5]", "title=new: text", "seed=4",
                    "seed=5", "note=", "prompts=[]", "quota=64 KiB", "stages.0={name: other}"});
  EXPECT_EQ(e.title, "new: text");
  EXPECT_EQ(e.distill.lr, 0.25);
  EXPECT_EQ(e.stages.at(1).steps, 7);
  EXPECT_EQ(e.stages.at(0).name, "other");
  EXPECT_EQ(e.stages.at(0).steps, 10);
  EXPECT_EQ(e.ema->decay, 0.5);
  EXPECT_EQ(e.blocks.list, std::vector<std::int64_t>{5});
  EXPECT_EQ(e.seed, 5U);
  EXPECT_FALSE(e.note.has_value());
  EXPECT_TRUE(e.prompts.empty());
  EXPECT_EQ(e.quota, 65536);
}

TEST(Config, OverridesMakeSectionsThatTheFileLacks) {
  const Experiment e = parse("", {"title=x", "distill.phi.degree=5", "ema.start=later"});
  EXPECT_EQ(e.distill.phi.degree, 5);
  EXPECT_EQ(e.ema.value().start, "later");
}

TEST(Config, AShorthandStandsForItsSection) {
  EXPECT_EQ(parse("title: a\nblocks: [1, 2]\n").blocks.list, (std::vector<std::int64_t>{1, 2}));
  EXPECT_EQ(parse("title: a\nblocks: {list: [1, 2], pattern: p}\n").blocks.pattern, "p");
  expect_error<UsageError>([] { parse("title: a\nblocks: hello\n"); }, {"run.yaml:2:9", "'blocks.list'", "a list"});
}

TEST(Config, AnEmptyOptionalSectionTakesItsDefaults) {
  EXPECT_EQ(parse("title: a\nema: {}\n").ema.value().decay, 0.99);
  EXPECT_FALSE(parse("title: a\nema: null\n").ema.has_value());
  EXPECT_FALSE(parse("title: a\n").ema.has_value());
}

const std::string kOak = "oak", kElm = "elm";

/// A value that is no enum, and a number that no variable holds.
struct Forest {
  const std::string* tree = &kOak;
  std::map<std::string, std::int64_t> counts;
  void fields(config::Fields& f) {
    f.choice("tree", tree, {{kOak, &kOak}, {kElm, &kElm}}, "which");
    f.number(
         "count", [this] { return counts["trees"]; }, [this](std::int64_t n) { counts["trees"] = n; }, "how many")
        .at_least(0);
  }
};

TEST(Config, ChoicesAndNumbersOfAnyKindAreReadAndWritten) {
  const auto read = [](const std::string& text) {
    return config::load<Forest>(config::Document::from_text(text, "run.yaml"));
  };
  const Forest forest = read("{ tree: elm, count: 7 }");
  EXPECT_EQ(forest.tree, &kElm);
  EXPECT_EQ(forest.counts.at("trees"), 7);
  EXPECT_EQ(config::to_json(forest).dump(), R"({"tree":"elm","count":7})");
  EXPECT_THROW(read("tree: ash"), UsageError);
  EXPECT_THROW(read("count: -1"), UsageError);
  EXPECT_THROW(read("count: many"), UsageError);
}

TEST(Config, TheDocumentationNamesEveryKeyWithItsDefault) {
  Experiment e;
  config::Fields fields;
  e.fields(fields);
  const std::string text = config::documentation(fields);
  for (const char* part : {"title", "(required)", "distill.phi.degree", "peak learning rate", "ema.decay", "0.99",
                           "l1 | mse | huber", "blocks.list"}) {
    EXPECT_NE(text.find(part), std::string::npos) << part << " in\n" << text;
  }
  EXPECT_NE(config::documentation(fields, "run").find("run.distill.lr"), std::string::npos);
}

TEST(Config, AFileIsReadWithItsPathInMessages) {
  const TempFolder folder;
  write_file_atomic(folder / "a.yaml", "title: a\nseed: 9\n");
  EXPECT_EQ(config::load<Experiment>(config::Document::from_file(folder / "a.yaml", {"seed=8"})).seed, 8U);
  write_file_atomic(folder / "b.yaml", "title: a\nseed: x\n");
  expect_error<UsageError>([&] { config::load<Experiment>(config::Document::from_file(folder / "b.yaml")); },
                           {(folder / "b.yaml").string() + ":2:7"});
}

}  // namespace
}  // namespace rehyat::testing
