#include "data/sources/captions.h"

#include "data/video/clip_maker.h"

namespace rehyat::data {
namespace {

class CaptionFiles : public VideoTest {
 protected:
  Captions load(const std::string& name, const std::string& content, std::vector<std::string> clips,
                bool allow_missing = false) {
    return Captions::load({folder_, file(name, content), allow_missing}, clips);
  }
};

TEST_F(CaptionFiles, Jsonl) {
  const Captions captions = load("m.jsonl",
                                 "\xEF\xBB\xBF{\"file\": \"a.mp4\", \"caption\": \" A dog. \", \"more\": 1}\r\n\n"
                                 "{\"file\": \"./sub//b.mp4\", \"caption\": \"Two, \\\"three\\\"\"}\n",
                                 {"a.mp4", "sub/b.mp4"});
  EXPECT_EQ(captions.size(), 2U);
  EXPECT_EQ(captions.missing(), 0U);
  EXPECT_EQ(captions.at("a.mp4"), "A dog.");
  EXPECT_EQ(captions.at("sub/b.mp4"), "Two, \"three\"");
  expect_refused([&] { captions.at("c.mp4"); }, {"c.mp4"});
}

TEST_F(CaptionFiles, JsonlMistakes) {
  const std::string first = "{\"file\": \"a.mp4\", \"caption\": \"A\"}\n";
  expect_refused([&] { load("m.jsonl", first + "{\"file\": ", {"a.mp4"}); }, {"m.jsonl:2", "JSON"});
  expect_refused([&] { load("m.jsonl", first + "[1]", {"a.mp4"}); }, {"m.jsonl:2"});
  expect_refused([&] { load("m.jsonl", "{\"file\": \"a.mp4\"}", {"a.mp4"}); }, {"m.jsonl:1", "caption"});
  expect_refused([&] { load("m.jsonl", "{\"file\": 3, \"caption\": \"x\"}", {"a.mp4"}); }, {"m.jsonl:1", "number"});
  expect_refused([&] { load("m.jsonl", first + first, {"a.mp4"}); }, {"m.jsonl:2", "second", "m.jsonl:1"});
  expect_refused([&] { load("m.jsonl", "{\"file\": \"clip1.mp4\", \"caption\": \"x\"}", {"clip2.mp4"}); },
                 {"m.jsonl:1", "clip1.mp4", "did you mean \"clip2.mp4\""});
  expect_refused([&] { load("m.jsonl", first, {"a.mp4", "b.mp4"}); }, {"no caption of \"b.mp4\""});
  expect_refused([&] { load("m.jsonl", "{\"file\": \"a.mp4\", \"caption\": \"  \"}", {"a.mp4"}); }, {"a.mp4"});
  const auto second = [&](const std::string& line, const std::vector<std::string>& parts) {
    expect_refused([&] { load("m.jsonl", first + line + "\n", {"a.mp4", "b.mp4"}); }, parts);
  };
  second(R"({"file": "b.mp4", "caption": "A", "aesthetic": NaN})", {"m.jsonl:2:48: ", "NaN"});
  second(R"({"file": "b.mp4", "caption": "a wall \ud83d"})", {"m.jsonl:2:38: ", "half of a surrogate pair"});
  second(R"({"file": "b.mp4", "caption": "A", "caption": "B"})", {"m.jsonl:2:35: ", "'caption' twice"});
  second(R"({"file": "b.mp4", "caption": "A"},)", {"m.jsonl:2:34: ", "a comma behind the value"});
  expect_refused([&] { load("m.txt", first, {"a.mp4"}); }, {".jsonl, .csv or .json"});
  expect_refused([&] { Captions::load({folder_, folder_ / "none.jsonl", false}, {"a.mp4"}); }, {"none.jsonl"});
}

TEST_F(CaptionFiles, MissingOnesMayBeAllowed) {
  const Captions captions = load("m.jsonl", "{\"file\": \"a.mp4\", \"caption\": \"A\"}\n", {"a.mp4", "b.mp4"}, true);
  EXPECT_EQ(captions.missing(), 1U);
  EXPECT_EQ(captions.at("b.mp4"), "");
}

TEST_F(CaptionFiles, Csv) {
  const Captions captions = load("m.csv",
                                 "caption,file,extra\r\n\"One, two \"\"three\"\"\",a.mp4,1\r\n\n"
                                 "\"Over\ntwo lines\",b.mp4,\nplain,\"c,d.mp4\",x",
                                 {"a.mp4", "b.mp4", "c,d.mp4"});
  EXPECT_EQ(captions.at("a.mp4"), "One, two \"three\"");
  EXPECT_EQ(captions.at("b.mp4"), "Over\ntwo lines");
  EXPECT_EQ(captions.at("c,d.mp4"), "plain");
}

TEST_F(CaptionFiles, CsvMistakes) {
  EXPECT_EQ(load("mac.csv", "file,caption\ra.mp4,A\r", {"a.mp4"}).at("a.mp4"), "A");
  expect_refused(
      [&] {
        load("m.csv",
             std::string("\xFF\xFE"
                         "f\0i\0l\0e\0",
                         10),
             {"a.mp4"});
      },
      {"m.csv", "UTF-16", "iconv -f UTF-16 "});
  expect_refused([&] { load("m.csv", "", {"a.mp4"}); }, {"m.csv", "header"});
  expect_refused([&] { load("m.csv", "file;caption\na.mp4;x, y\n", {"a.mp4"}); },
                 {"m.csv:1", "file;caption", "separated by commas"});
  expect_refused([&] { load("m.csv", "name,text\na.mp4,x\n", {"a.mp4"}); }, {"m.csv:1", "column file"});
  expect_refused([&] { load("m.csv", "file,caption,caption\na.mp4,A,B\n", {"a.mp4"}); },
                 {"m.csv:1", "the column caption twice"});
  expect_refused([&] { load("m.csv", "file,caption\n\"a\nb\",x\na.mp4,one, two\n", {"a.mp4"}); },
                 {"m.csv:4", "3 fields", "quote"});
  expect_refused([&] { load("m.csv", "file,caption\na.mp4,\"open\n", {"a.mp4"}); }, {"m.csv:2", "never closed"});
  expect_refused([&] { load("m.csv", "file,caption\na.mp4,\"x\"y\n", {"a.mp4"}); }, {"m.csv:2", "after a quoted"});
}

TEST_F(CaptionFiles, Groups) {
  const Captions jsonl = load("m.jsonl",
                              "{\"file\": \"a.mp4\", \"caption\": \"A\", \"group\": \" g \"}\n"
                              "{\"file\": \"b.mp4\", \"caption\": \"B\"}\n",
                              {"a.mp4", "b.mp4"});
  EXPECT_EQ(jsonl.group("a.mp4"), "g");
  EXPECT_EQ(jsonl.group("b.mp4"), "");
  const Captions csv = load("m.csv", "group,file,caption\ng,a.mp4,A\n,b.mp4,B\n", {"a.mp4", "b.mp4"});
  EXPECT_EQ(csv.group("a.mp4"), "g");
  EXPECT_EQ(csv.group("b.mp4"), "");
  expect_refused([&] { load("m.jsonl", "{\"file\": \"a.mp4\", \"caption\": \"A\", \"group\": 1}", {"a.mp4"}); },
                 {"m.jsonl:1", "group", "number"});
}

TEST_F(CaptionFiles, RefusesWhatIsNotUtf8WithItsLine) {
  const std::string first = "{\"file\": \"a.mp4\", \"caption\": \"A\"}\n";
  expect_refused(
      [&] {
        load("m.jsonl", first + "{\"file\": \"b.mp4\", \"caption\": \"caf\xE9\"}\n", {"a.mp4", "b.mp4"});
      },
      {"m.jsonl:2", "\\xE9", "UTF-8"});
  expect_refused([&] { load("m.csv", "file,caption\na.mp4,caf\xE9\n", {"a.mp4"}); }, {"m.csv:2", "\\xE9"});
  file("a.txt", "one\ncaf\xE9");
  expect_refused([&] { Captions::load({folder_, {}, false}, {"a.mp4"}); }, {"a.txt:2", "\\xE9"});
}

TEST_F(CaptionFiles, TextBesideTheClip) {
  make_folder(folder_ / "sub");
  file("a.txt", "A caption\n");
  file("sub/b.txt", "Another\n");
  const Captions captions = Captions::load({folder_, {}, false}, {"a.mp4", "sub/b.mkv"});
  EXPECT_EQ(captions.at("a.mp4"), "A caption");
  EXPECT_EQ(captions.at("sub/b.mkv"), "Another");
  expect_refused([&] { Captions::load({folder_, {}, false}, {"a.mp4", "c.mp4"}); }, {"c.mp4"});
}

TEST_F(CaptionFiles, NullIsAMissingCaption) {
  const std::string line = "{\"file\": \"a.mp4\", \"caption\": null, \"group\": null}\n";
  expect_refused([&] { load("m.jsonl", line, {"a.mp4"}); }, {"no caption of \"a.mp4\""});
  const Captions captions = load("m.jsonl", line, {"a.mp4"}, true);
  EXPECT_EQ(captions.missing(), 1U);
  EXPECT_EQ(captions.group("a.mp4"), "");
  const Captions list = load("m.json", "[{\"path\": \"a.mp4\", \"cap\": null, \"group\": null}]", {"a.mp4"}, true);
  EXPECT_EQ(list.missing(), 1U);
  expect_refused([&] { load("m.jsonl", "{\"file\": null, \"caption\": \"x\"}", {"a.mp4"}); }, {"m.jsonl:1", "null"});
}

TEST_F(CaptionFiles, ExtensionsInCapitals) {
  file("A.TXT", "\xEF\xBB\xBF beside ");
  EXPECT_EQ(Captions::load({folder_, {}, false}, {"A.mp4"}).at("A.mp4"), "beside");
  EXPECT_EQ(load("M.CSV", "file,caption\nA.mp4,csv\n", {"A.mp4"}).at("A.mp4"), "csv");
  EXPECT_EQ(load("M.JSONL", "{\"file\": \"A.mp4\", \"caption\": \"jsonl\"}", {"A.mp4"}).at("A.mp4"), "jsonl");
  file("A.txt", "another");
  expect_refused([&] { Captions::load({folder_, {}, false}, {"A.mp4"}); }, {"A.mp4", "two captions", "A.TXT", "A.txt"});
}

TEST_F(CaptionFiles, NamesAreTakenAsTheyAre) {
  file(" intro.txt", "beside");
  EXPECT_EQ(Captions::load({folder_, {}, false}, {" intro.mkv"}).at(" intro.mkv"), "beside");
  const std::string line = "{\"file\": \" intro.mkv\", \"caption\": \"x\"}\n";
  EXPECT_EQ(load("m.jsonl", line, {" intro.mkv"}).at(" intro.mkv"), "x");
  EXPECT_EQ(load("m.jsonl", line, {"intro.mkv"}).at("intro.mkv"), "x");  // typed with a space in front
  const Captions both =
      load("m.csv", "file,caption\n intro.mkv,with\nintro.mkv,without\n", {" intro.mkv", "intro.mkv"});
  EXPECT_EQ(both.at(" intro.mkv"), "with");
  EXPECT_EQ(both.at("intro.mkv"), "without");
}

TEST_F(CaptionFiles, NamesThatDifferInNormalizationAreTheSame) {
  const std::string composed = "caf\xC3\xA9.mkv", decomposed = "cafe\xCC\x81.mkv";
  const std::string line = "{\"file\": \"" + composed + "\", \"caption\": \"x\"}\n";
  EXPECT_EQ(load("m.jsonl", line, {decomposed}).at(decomposed), "x");
  EXPECT_EQ(load("m.csv", "file,caption\n" + decomposed + ",y\n", {composed}).at(composed), "y");
  const Captions exact = load("m.jsonl", line, {decomposed, composed}, true);
  EXPECT_EQ(exact.at(composed), "x");
  EXPECT_EQ(exact.at(decomposed), "");
  const std::string ring = "\xC3\x85", sign = "\xE2\x84\xAB", apart = "A\xCC\x8A";  // three spellings of one letter
  expect_refused(
      [&] {
        load("m.csv", "file,caption\n" + ring + ".mkv,y\n", {apart + ".mkv", sign + ".mkv"}, true);
      },
      {"m.csv:2", "several videos", "Unicode normalization"});
  file("caf\xC3\xA9.txt", "beside");
  EXPECT_EQ(Captions::load({folder_, {}, false}, {decomposed}).at(decomposed), "beside");
  // The text belongs to the clip of exactly its name.
  const Captions own = Captions::load({folder_, {}, true}, {decomposed, composed});
  EXPECT_EQ(own.at(composed), "beside");
  EXPECT_EQ(own.at(decomposed), "");
}

}  // namespace
}  // namespace rehyat::data
