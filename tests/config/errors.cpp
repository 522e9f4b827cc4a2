#include <gtest/gtest.h>

#include <fstream>

#include "core/expect_error.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "example.h"

namespace rehyat::testing {
namespace {

void refused(const std::string& text, const std::vector<std::string>& parts,
             const std::vector<std::string>& overrides = {}) {
  expect_error<UsageError>([&] { parse(text, overrides); }, parts);
}

TEST(ConfigError, AnUnknownKeyHasItsPositionAndTheNearestName) {
  refused("title: a\nsede: 3\n", {"run.yaml:2:1", "unknown key 'sede'", "did you mean 'seed'?"});
  refused("title: a\ndistill:\n  lr: 0.1\n  iteration: 5\n",
          {"run.yaml:4:3", "'distill.iteration'", "did you mean 'distill.iterations'?"});
  refused("title: a\ndistill: {phi: {dergee: 1}}\n", {"run.yaml:2:17", "did you mean 'distill.phi.degree'?"});
  refused("title: a\nstages: [{name: x}, {name: y, stpes: 2}]\n", {"run.yaml:2:", "'stages.1.stpes'", "steps"});
  refused("title: a\nema: {dekay: 0.5}\n", {"run.yaml:2:7", "'ema.dekay'", "'ema.decay'"});
  refused("title: a\nzzzzzzzzzz: 1\n", {"unknown key 'zzzzzzzzzz'", "expected one of title, seed"});
}

TEST(ConfigError, ARepeatedKeyIsNotSettledInSilence) {
  refused("title: a\nseed: 1\nseed: 2\n", {"run.yaml:3:1", "'seed'", "second time"});
  refused("title: a\ndistill: {lr: 0.1, lr: 0.2}\n", {"run.yaml:2:20", "'lr'"});
}

TEST(ConfigError, AMistypedValueIsNamedWithWhatWasExpected) {
  refused("title: a\nseed: three\n", {"run.yaml:2:7", "'seed'", "\"three\"", "a whole number"});
  refused("title: a\nseed: 1.5\n", {"'seed'", "a whole number"});
  refused("title: a\nseed: -1\n", {"'seed'", "\"-1\""});
  refused("title: a\nseed: \"1\"\n", {"'seed'", "a whole number"});  // quoted text is text
  refused("title: a\nseed: 18446744073709551616\n", {"'seed'", "18446744073709551615"});
  refused("title: a\nseed: [1]\n", {"'seed'", "a list of 1"});
  refused("title: a\nseed:\n", {"'seed'", "nothing"});
  refused("title: a\ndistill: {lr: fast}\n", {"'distill.lr'", "\"fast\"", "a number"});
  refused("title: a\ndistill: {lr: .nan}\n", {"'distill.lr'", "a number"});
  refused("title: a\ndistill: {lr: inf}\n", {"'distill.lr'", "a number"});
  refused("title: a\ndistill: {lr: 1e999}\n", {"'distill.lr'", "a number"});
  refused("title: a\ndistill: {shuffle: yes}\n", {"'distill.shuffle'", "true or false"});
  refused("title: a\ndistill: 3\n", {"run.yaml:2:10", "'distill'", "\"3\"", "a map"});
  refused("title: a\ndistill: [1, 2]\n", {"'distill'", "a list of 2", "a map"});
  refused("title: a\nscales: 3\n", {"'scales'", "a list"});
  refused("title: a\nscales: [1, x]\n", {"run.yaml:2:13", "\"x\"", "a number"});
  refused("title: a\nstages: {name: x}\n", {"'stages'", "a list"});
  refused("title: a\nstages: [3]\n", {"'stages.0'", "\"3\"", "a map"});
  refused("title: {a: b}\n", {"'title'", "a map", "text"});
  refused("title: a\nquota: 5 bananas\n", {"run.yaml:2:8", "quota", "5 bananas", "500GB"});
  refused("title: a\nema: 0.5\n", {"run.yaml:2:6", "'ema'", "a map"});
  refused("- 1\n- 2\n", {"run.yaml:1:1", "a list of 2", "a map of settings"});
  refused("just text\n", {"run.yaml:1:1", "\"just text\""});
}

TEST(ConfigError, AValueOutOfRangeHasTheRange) {
  refused("title: a\ndistill: {lr: 0}\n", {"run.yaml:2:15", "'distill.lr'", "\"0\"", "> 0"});
  refused("title: a\ndistill: {lr: 2}\n", {"'distill.lr'", "<= 1"});
  refused("title: a\ndistill: {iterations: -1}\n", {"'distill.iterations'", ">= 0"});
  refused("title: a\ndistill: {phi: {degree: 9}}\n", {"'distill.phi.degree'", "from 1 to 8"});
  refused("title: a\ndistill: {phi: {kind: poli}}\n", {"'distill.phi.kind'", "poly_mlp, hedgehog, elu"});
  refused("title: a\ndistill: {loss: hubert}\n", {"'distill.loss'", "l1, mse, huber", "did you mean 'huber'?"});
  refused("title: a\nclip: -1\n", {"run.yaml:2:7", "'clip'", ">= 0"});
  refused("title: a\nlimit: 0\n", {"run.yaml:2:8", "'limit'", "> 0"});
  refused("title: a\nnote: ''\n", {"run.yaml:2:7", "'note'", "not empty"});
  EXPECT_NO_THROW(parse("title: a\nclip: ~\nlimit: null\nnote:\n"));
  refused("title: a\nblocks: {pattern: ''}\n", {"'blocks.pattern'", "not empty"});
  refused("title: a\nstages: [{name: x, steps: 0}]\n", {"'stages.0.steps'", ">= 1"});
  refused("title: a\nstages: [{name: x, steps: 3000000000}]\n", {"'stages.0.steps'", "2147483647"});
}

TEST(ConfigError, AMissingRequiredKeyIsNamedWithItsMeaning) {
  refused("seed: 1\n", {"run.yaml", "'title'", "missing", "of the run"});
  refused("", {"run.yaml", "'title'", "missing"});
  refused("# nothing\n", {"run.yaml", "'title'", "missing"});
  refused("title: a\nstages: [{steps: 3}]\n", {"run.yaml:2:", "'stages.0.name'", "missing"});
}

struct Weights {
  std::string file;
  void fields(config::Fields& f) { f.add("file", file, "what is loaded").required(); }
};
struct Needy {
  Weights weights;
  void fields(config::Fields& f) { f.section("weights", weights, "of the model"); }
};

TEST(ConfigError, ARequiredKeyInASectionThatIsAbsentIsMissedToo) {
  for (const char* text : {"", "weights:\n", "weights: {}\n"}) {
    expect_error<UsageError>([&] { config::load<Needy>(config::Document::from_text(text, "run.yaml")); },
                             {"run.yaml", "'weights.file'", "missing"});
  }
}

TEST(ConfigError, AKeyWithoutEffectIsNamed) {
  refused("title: a\ndistill: {delta: 0.5}\n", {"run.yaml:2:11", "'distill.delta'", "without effect", "loss huber"});
  refused("title: a\ndistill: {delta: 0.5, loss: mse}\n", {"'distill.delta'", "only with the loss huber"});
  EXPECT_NO_THROW(parse("title: a\ndistill: {delta: 0.5, loss: huber}\n"));
  EXPECT_FALSE(config::to_json(parse("title: a\n")).at("distill").contains("delta"));
}

TEST(ConfigError, AStructsOwnCheckIsReportedAtItsSection) {
  refused("title: a\ndistill: {loss: huber, lr: 0.7}\n", {"run.yaml:2:10", "'distill'", "huber with lr > 0.5"});
}

TEST(ConfigError, TextThatIsNotYamlHasLineAndColumn) {
  refused("title: a\nseed: [1, 2\n", {"run.yaml:", "not YAML"});
  refused("title: a\n\tseed: 1\n", {"run.yaml:2:", "not YAML"});
  refused("title: \"a\nseed: 3\n", {"run.yaml:", "not YAML"});
  refused("title: a\nnote: 'it\n", {"run.yaml:", "not YAML"});
  refused("title: a\nseed: *nobody\n", {"run.yaml:2:", "not YAML"});
}

TEST(ConfigError, ControlCharactersDoNotCutTheFileOff) {
  for (const char c : {'\0', '\x04', '\x1b'})
    refused(cat("title: a", c, "b\nseed: 3\n"), {"run.yaml:1:9", "control character"});
  refused("title: a\nseed: 3\n\x04\nunknown: 1\n", {"run.yaml:3:1", "control character 4"});
  refused(std::string("\xff\xfet\0i\0", 6), {"run.yaml:1:1", "UTF-8"});
  EXPECT_EQ(parse("\xEF\xBB\xBFtitle: a\r\nseed: 3\r\n").seed, 3U);  // a byte order mark, and Windows line ends
  EXPECT_EQ(parse("title: \"a\\x04b\"\n").title, std::string("a\x04") + "b");
}

TEST(ConfigError, BytesThatAreNotUtf8AreNamedWithTheirPosition) {
  refused("title: a\nnote: caf\xe9\n", {"run.yaml:2:10", "not UTF-8", "save the file as UTF-8"});
  refused("title: \xc3\xa9\xff\n", {"run.yaml:1:9"});  // columns count characters
  refused("title: a\nnote: \xed\xa0\x80\n", {"run.yaml:2:7"});
  refused("title: a\n", {"override 'note=caf?'", "not UTF-8"}, {"note=caf\xe9"});
  refused("title: a\n", {"override '?=1'"}, {"\xff=1"});
  EXPECT_EQ(parse("title: \xe2\x82\xac\n").title, "\xe2\x82\xac");
}

TEST(ConfigError, ElementsOfListsHaveTheirKey) {
  refused("title: a\nscales: [1, x]\n", {"run.yaml:2:13: 'scales.1': found \"x\""});
  refused("title: a\nprompts: [[a]]\n", {"'prompts.0'", "text"});
}

struct Inner {
  double width = 1;
  void fields(config::Fields& f) { f.add("width", width, "of a layer").above(0); }
};
struct Middle {
  std::optional<Inner> inner;
  std::vector<Inner> layers;
  void fields(config::Fields& f) {
    f.section("inner", inner, "optional");
    f.list("layers", layers, "in order");
  }
};
struct Outer {
  Middle middle;
  void fields(config::Fields& f) { f.section("middle", middle, "of all"); }
};

TEST(ConfigError, OptionalSectionsAndListsKeepTheirPrefix) {
  const auto outer = [](const std::string& text, const std::string& part) {
    expect_error<UsageError>([&] { config::load<Outer>(config::Document::from_text(text, "run.yaml")); }, {part});
  };
  outer("middle: {inner: {widht: 1}}\n", "unknown key 'middle.inner.widht'; did you mean 'middle.inner.width'?");
  outer("middle: {inner: {width: x}}\n", "'middle.inner.width': found \"x\"");
  outer("middle: {inner: {width: -1}}\n", "'middle.inner.width': found \"-1\"");
  outer("middle: {inner: 3}\n", "'middle.inner': found \"3\"");
  outer("middle: {layers: [{width: 1}, {width: 0}]}\n", "'middle.layers.1.width'");
}

TEST(ConfigError, APlaceIsFoundByItsKey) {
  const auto document = config::Document::from_text("title: a\ndistill:\n  lr: 1\n", "run.yaml", {"blocks.list=[1]"});
  EXPECT_EQ(document.where("distill.lr"), "run.yaml:3:7");
  EXPECT_EQ(document.where("distill.loss"), "run.yaml:3:3");
  EXPECT_EQ(document.where("captions.jsonl"), "");
  const auto list = config::Document::from_text("stages:\n  - { name: a }\n  - { name: b }", "run.yaml");
  EXPECT_EQ(list.where("stages.1.name"), "run.yaml:3:13");
  EXPECT_EQ(list.where("stages.0.steps"), "run.yaml:2:5");
  EXPECT_EQ(list.where("stages.2.name"), "run.yaml:2:3");
  EXPECT_EQ(document.where("blocks.list"), "override 'blocks.list=[1]'");
}

TEST(ConfigError, KeysThatAreNoNamesAreRefused) {
  refused("title: a\n? [1, 2]\n: 3\n", {"run.yaml:2:", "as a key"});
  refused("title: a\n{a: b}: 3\n", {"run.yaml:2:", "as a key"});
  refused("title: a\n~: 3\n", {"run.yaml:2:1", "as a key"});
}

TEST(ConfigOverride, MistakesNameTheOverride) {
  const std::string text = "title: a\nstages: [{name: x}]\nprompts: []\n";
  refused(text, {"override 'distil.lr=1'", "unknown key 'distil'", "'distill'"}, {"distil.lr=1"});
  refused(text, {"override 'distill.lrr=1'", "'distill.lrr'", "'distill.lr'"}, {"distill.lrr=1"});
  refused(text, {"override 'distill.lr=0'", "'distill.lr'", "> 0"}, {"distill.lr=0"});
  refused(text, {"override 'seed'", "expected dotted.key=value"}, {"seed"});
  refused(text, {"override '=3'", "expected dotted.key=value"}, {"=3"});
  refused(text, {"override 'distill..lr=3'", "an empty name"}, {"distill..lr=3"});
  refused(text, {"override 'stages.1.steps=3'", "'1'", "index from 0 to 0"}, {"stages.1.steps=3"});
  refused(text, {"override 'stages.x.steps=3'", "found a map, expected a list of maps"}, {"stages.x.steps=3"});
  refused(text, {"override 'stages.-1.steps=3'", "'-1'"}, {"stages.-1.steps=3"});
  refused(text, {"override 'prompts.0=x'", "an empty list"}, {"prompts.0=x"});
  refused(text, {"override 'seed=[1'"}, {"seed=[1"});
}

TEST(ConfigFile, MissingAndUnreadableFilesAreUsageErrors) {
  const TempFolder folder;
  expect_error<UsageError>([&] { config::Document::from_file(folder / "none.yaml"); }, {"none.yaml", "cannot be read"});
  expect_error<UsageError>([&] { config::Document::from_file(folder.path()); }, {"found a folder"});
  std::ofstream(folder / "utf16.yaml") << std::string("\xFF\xFEt\0i\0t\0l\0e\0", 12);
  expect_error<UsageError>([&] { config::Document::from_file(folder / "utf16.yaml"); },
                           {"utf16.yaml: found text in UTF-16", "iconv -f UTF-16 -t UTF-8"});
  std::ofstream(folder / "page.yaml") << "<!DOCTYPE html><html></html>";
  expect_error<UsageError>([&] { config::Document::from_file(folder / "page.yaml"); }, {"page.yaml: found a web page"});
}

}  // namespace
}  // namespace rehyat::testing
