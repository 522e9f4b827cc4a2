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
