#include "core/strings.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"

namespace rehyat {
namespace {

TEST(Strings, JoinSplitTrimAndCat) {
  EXPECT_EQ(cat("row ", 3, " of ", 4.5, '!'), "row 3 of 4.5!");
  EXPECT_EQ(join({"a", "", "b"}, ", "), "a, , b");
  EXPECT_EQ(join({}, ", "), "");
  EXPECT_EQ(split("a..b.", '.'), (std::vector<std::string>{"a", "", "b", ""}));
  EXPECT_EQ(split("", '.'), std::vector<std::string>{""});
  EXPECT_EQ(trim(" \t a b\r\n"), "a b");
  EXPECT_EQ(trim(" \n "), "");
  EXPECT_EQ(shape_string({2, 3, 4}), "[2, 3, 4]");
  EXPECT_EQ(shape_string({}), "[]");
}

TEST(Strings, NearestFindsWhatWasMeant) {
  const std::vector<std::string> names = {"iterations", "lr", "loss", "warmup"};
  EXPECT_EQ(nearest("iteration", names), "iterations");
  EXPECT_EQ(nearest("rl", names), "lr");
  EXPECT_EQ(nearest("lsos", names), "loss");
  EXPECT_EQ(nearest("banana", names), "");
  EXPECT_EQ(nearest("", names), "");
  EXPECT_EQ(nearest("x", {}), "");
  EXPECT_EQ(nearest(std::string(1'000'000, 'x'), names), "");
}

TEST(Strings, NumbersForPeople) {
  EXPECT_EQ(human_bytes(0), "0 B");
  EXPECT_EQ(human_bytes(999), "999 B");
  EXPECT_EQ(human_bytes(1500), "1.5 kB");
  EXPECT_EQ(human_bytes(999'950), "1.0 MB");
  EXPECT_EQ(human_bytes(604'000'000'000), "604 GB");
  EXPECT_EQ(human_seconds(0.25), "0.2 s");
  EXPECT_EQ(human_seconds(9.99), "10.0 s");
  EXPECT_EQ(human_seconds(59.6), "1 min 0 s");
  EXPECT_EQ(human_seconds(750), "12 min 30 s");
  EXPECT_EQ(human_seconds(3600), "1 h 0 min");
  EXPECT_EQ(human_seconds(90'000), "1 d 1 h");
  EXPECT_EQ(human_seconds(-1), "?");
  EXPECT_EQ(human_seconds(1e300), "?");
  EXPECT_EQ(human_count(0), "0");
  EXPECT_EQ(human_count(1'418'996'800), "1,418,996,800");
  EXPECT_EQ(human_count(-1234), "-1,234");
  EXPECT_EQ(human_count(INT64_MIN), "-9,223,372,036,854,775,808");
}

TEST(Strings, SizesAreParsedWithTheirUnit) {
  EXPECT_EQ(parse_bytes("1000", "quota"), 1000);
  EXPECT_EQ(parse_bytes("500GB", "quota"), 500'000'000'000);
  EXPECT_EQ(parse_bytes(" 64 MiB ", "quota"), 64 << 20);
  EXPECT_EQ(parse_bytes("1.5k", "quota"), 1500);
  EXPECT_EQ(parse_bytes("0", "quota"), 0);
  for (const char* bad : {"", "GB", "-1", "1 XB", "1 GBB", "1e99", "nan", "inf", "1 GB extra", "10000000 TB"}) {
    testing::expect_error<UserError>([&] { parse_bytes(bad, "quota"); }, {"quota", "500GB"});
  }
}

TEST(Errors, ASentenceHasOnlyThePartsThatAreThere) {
  EXPECT_EQ(to_sentence({"a.yaml:3:1", "x", "y", "try z"}), "a.yaml:3:1: found x, expected y; try z");
  EXPECT_EQ(to_sentence({"a", "x", "", ""}), "a: found x");
  EXPECT_EQ(to_sentence({"a", "", "y", ""}), "a: expected y");
  EXPECT_EQ(to_sentence({"", "x", "y", ""}), "found x, expected y");
}

TEST(Errors, RequireBuildsItsSentenceOnlyWhenNeeded) {
  int built = 0;
  const auto sentence = [&] {
    ++built;
    return std::string("no");
  };
  require(true, sentence);
  EXPECT_EQ(built, 0);
  EXPECT_THROW(require(false, sentence), UserError);
  EXPECT_EQ(built, 1);
}

TEST(Excerpt, CutsBetweenCharactersAndHidesWhatIsNoText) {
  EXPECT_EQ(excerpt("short"), "short");
  EXPECT_EQ(excerpt("a\nb\x1b\xff"), "a?b??");
  EXPECT_EQ(excerpt("abcdef", 3), "abc…");
  EXPECT_EQ(excerpt("ab\xc3\xa9z", 3), "ab…");
}

TEST(Nearest, ManyCandidatesDoNotTakeLong) {
  std::vector<std::string> names(200'000, std::string(100, 'x'));
  for (std::size_t i = 0; i < names.size(); ++i) names[i] += std::to_string(i);
  EXPECT_EQ(nearest(std::string(104, 'y'), names), "");
}

}  // namespace
}  // namespace rehyat
