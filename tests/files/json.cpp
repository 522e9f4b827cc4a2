#include "files/json.h"

#include <gtest/gtest.h>

#include "config/config.h"
#include "core/error.h"
#include "core/expect_error.h"
#include "core/strings.h"
#include "core/temp_folder.h"
#include "files/atomic_file.h"

namespace rehyat {
namespace {

using testing::expect_error;
using json = nlohmann::ordered_json;

void refused(const std::string& text, std::vector<std::string> parts, const JsonLimits& limits = {}) {
  parts.push_back("f.json");
  expect_error<UserError>([&] { parse_json(text, "f.json", limits); }, parts);
}

TEST(Json, EveryKindOfValueIsReadInItsOrder) {
  const std::string text = R"({"b":[1,-2,2.5,true,null,"x\u00e9\ud83d\ude00"],"a":{"":{}},"c":[[],[[]]]})";
  EXPECT_EQ(parse_json(text, "f"), json::parse(text));
  EXPECT_EQ(parse_json(text, "f").dump(), json::parse(text).dump());
  EXPECT_EQ(parse_json(" 3 ", "f"), json(3));
  EXPECT_EQ(parse_json("{\"a\":{\"k\":1},\"b\":{\"k\":1}}", "f").size(), 2U);  // the same name in two objects
}

TEST(Json, WhatIsNotJsonHasItsPosition) {
  refused("", {"f.json:1:1", "not JSON"});
  refused("{\n  \"a\": 1,\n  x\n}", {"f.json:3:3", "not JSON"});
  refused("{} {}", {"not JSON"});
  refused("[1e999]", {"not JSON"});
  JsonLimits limits;
  limits.hint = "make it again";
  limits.what = "a marker";
  refused("{", {"expected a marker", "make it again"}, limits);
}

TEST(Json, TheReasonIsToldWithItsColumn) {
  const std::vector<std::pair<std::string, std::vector<std::string>>> cases = {
      {R"({"caption": "a wall", "aesthetic": NaN})", {":1:36", "NaN", "no number of JSON"}},
      {R"([1, -Infinity])", {":1:5", "-Infinity", "no number of JSON"}},
      {R"({"a": nan})", {":1:7", "nan", "no number of JSON"}},
      {R"({"caption": "a wall \ud83d"})", {":1:21", "half of a surrogate pair", "\\ud83d"}},
      {R"(["\ud83d\u0041"])", {":1:3", "half of a surrogate pair", "\\ud83d"}},
      {R"(["\ude00"])", {":1:3", "half of a surrogate pair", "\\ude00"}},
      {R"({"a": 1, "b": 2, "a": 3})", {":1:18", "'a' twice"}},
      {R"({"x\"y": 1, "x\"y": 2})", {":1:13", "twice"}},
      {R"({"a": 1},)", {":1:9", "a comma behind the value"}},
      {R"({"a": 1,})", {":1:9", "a comma behind the last value"}},
      {"[\n1,\n]", {":3:1", "a comma behind the last value"}},
      {R"({"a": 1} x)", {":1:10", "more text behind the value"}},
      {"{\"a\": 1, // one\n\"b\": 2}", {":1:10", "a comment"}},
      {"# list\n[]", {":1:1", "a comment"}},
      {R"({'a': 1})", {":1:2", "a single quote"}},
      {R"({a: 1})", {":1:2", "the word a without quotes"}},
      {R"({"a": True})", {":1:7", "JSON writes as true"}},
      {R"({"a": None})", {":1:7", "JSON writes as null"}},
      {R"({true: 1})", {":1:2", "true where it cannot stand"}},
      {R"([01])", {":1:2", "the number 01"}},
      {R"([1e999])", {":1:2", "the number 1e999"}},
      {R"({"a": 1 "b": 2})", {":1:9", "a comma, a colon or an end"}},
      {R"([1 2])", {":1:4", "2 where a comma"}},
      {"[\"a\nb\"]", {":1:4", "a line end inside of a text"}},
      {R"(["\x41"])", {":1:3", "the escape \\x"}},
      {R"({"a": "b)", {"without its closing quote"}},
      {R"({"a": )", {":1:7", "the end inside of a value"}},
      {"", {":1:1", "no value"}},
      {"\xC3\xA9", {":1:1", "cannot stand"}},
  };
  for (const auto& [text, parts] : cases) {
    SCOPED_TRACE(text);
    refused(text, parts);
  }
}

TEST(Json, ALineOfAFileHasItsNumberAndColumn) {
  expect_error<UserError>([] { parse_json_line(R"({"a": NaN})", "list.jsonl", 12); },
                          {"list.jsonl:12:7: found text that is not JSON: NaN"});
  EXPECT_EQ(parse_json_line("[1]", "list.jsonl", 3), json::parse("[1]"));
}

TEST(Json, AMarkInFrontIsPassedOver) {
  EXPECT_EQ(parse_json("\xEF\xBB\xBF[1]", "f"), json::parse("[1]"));
  refused("\xEF\xBB\xBF[x]", {"f.json:1:2"});
}

TEST(Json, WhatTheFirstBytesTellIsSaid) {
  using namespace std::string_literals;
  refused("\xFF\xFE[\0]\0"s, {"f.json: found text in UTF-16", "iconv -f UTF-16 "});
  refused("<!DOCTYPE html><html>sign in</html>", {"a web page"});
  refused("version https://git-lfs.github.com/spec/v1\noid sha256:ab\nsize 5\n", {"Git LFS pointer", "git lfs pull"});
}

TEST(Json, NeitherNulNorForeignBytesPass) {
  refused(std::string("{}\0 more", 8), {"f.json:1:3", "NUL"});
  refused("{\n\"a\": \"\xff\"}", {"f.json:2:7", "UTF-8"});
  refused("\"\xed\xa0\x80\"", {"UTF-8"});  // half of a surrogate pair
}

TEST(Json, RepeatedKeysAreNotSettledInSilence) {
  refused(R"({"a":1,"b":2,"a":3})", {"'a' twice"});
  refused(R"([{"x":{"k":1,"k":1}}])", {"'k' twice"});
  const std::string lengthy(100'000, 'k');
  refused(cat("{\"", lengthy, "\":1,\"", lengthy, "\":1}"), {"…"});
}

TEST(Json, DeepNestingEndsInASentenceNotInAFullStack) {
  refused(std::string(1'000'000, '['), {"nested more than 64 deep"});
  std::string deep;
  for (int i = 0; i < 200'000; ++i) deep += "{\"a\":";
  refused(deep, {"nested"});
  EXPECT_NO_THROW(parse_json(std::string(64, '[') + std::string(64, ']'), "f"));
}

TEST(Json, SizesAreBounded) {
  JsonLimits limits;
  limits.values = 5;
  refused("[1,2,3,4,5]", {"more than 5 values"}, limits);
  limits = {};
  limits.members = 2;
  refused(R"({"a":1,"b":2,"c":3})", {"more than 2 names"}, limits);
}

TEST(Json, ManyNamesAreRead) {
  // A reader whose time grows with the square of their number would run into the test's time limit.
  std::string text = "{";
  for (int i = 0; i < 300'000; ++i) text += cat(i > 0 ? "," : "", "\"name-", i, "\":1");
  EXPECT_EQ(parse_json(text + "}", "f").size(), 300'000U);
}

TEST(Json, FilesMustBeObjectsWhereOneIsAskedFor) {
  const testing::TempFolder folder;
  write_file_atomic(folder / "a.json", "[1]");
  EXPECT_EQ(read_json(folder / "a.json").size(), 1U);
  expect_error<UserError>([&] { read_json_object(folder / "a.json"); }, {"a.json", "no object (array)"});
  EXPECT_FALSE(parse_json_if("{\"half\": ").has_value());
  EXPECT_EQ(parse_json_if("[2]").value().dump(), "[2]");
}

struct Plain {
  std::vector<double> list;
  void fields(config::Fields& f) { f.add("list", list, "numbers"); }
};

TEST(Json, AConfigMadeOfItHasTheLimitsOfAConfig) {
  json deep = 1;
  for (int i = 0; i < 100; ++i) deep = json{{"list", deep}};
  expect_error<UsageError>([&] { config::from_json<Plain>(deep, "hybrid.json"); }, {"hybrid.json", "nested"});
  json many = json::array();
  for (int i = 0; i < 150'000; ++i) many.push_back(i);
  expect_error<UsageError>(
      [&] {
        config::from_json<Plain>(json{{"list", many}}, "hybrid.json");
      },
      {"hybrid.json", "more than 100000 values"});
}

TEST(JsonValues, OfAnotherTypeAreNoneWhereNothingDependsOnThem) {
  const auto value = parse_json(R"({"text": "a", "number": 2.5, "negative": -1, "huge": 18446744073709551615})", "a");
  EXPECT_EQ(value_or<std::string>(value, "text", "b"), "a");
  EXPECT_EQ(value_or<std::string>(value, "number", "b"), "b");
  EXPECT_EQ(value_or<std::string>(value, "none", "b"), "b");
  EXPECT_EQ(value_or(value, "number", 1.0), 2.5);
  EXPECT_EQ(value_or(value, "text", 1.0), 1.0);
  EXPECT_EQ(value_or<std::size_t>(value, "negative", 7), 7U);
  EXPECT_EQ(value_or<std::int64_t>(value, "huge", 7), 7);
  EXPECT_EQ(value_or<std::int64_t>(value, "number", 7), 7);
  EXPECT_TRUE(value_or(value, "text", true));
  for (const char* other : {"[1]", "3", "null", "\"text\""})
    EXPECT_EQ(value_or(parse_json(other, "a"), "text", 1.0), 1.0);
}

TEST(JsonValues, OfAnotherTypeAreRefusedWhereTheyCount) {
  const auto value = parse_json(R"({"type": 3, "flag": [], "id": 1e300, "good": true})", "a");
  const auto wrong = [](const auto& call, const std::vector<std::string>& parts) {
    expect_error<UserError>(call, parts);
  };
  wrong([&] { value_at<std::string>(value, "type", "", "a.json"); }, {"a.json: \"type\"", "the value 3", "a text"});
  wrong([&] { value_at(value, "flag", false, "a.json"); }, {"\"flag\"", "a list", "true or false"});
  wrong([&] { value_at<std::int64_t>(value, "id", 0, "a.json"); }, {"\"id\"", "1e+300", "a whole number"});
  EXPECT_TRUE(value_at(value, "good", false, "a.json"));
  EXPECT_EQ(value_at<std::int64_t>(value, "none", 5, "a.json"), 5);
}

}  // namespace
}  // namespace rehyat
