#include "data/sources/path_pattern.h"

#include "data/video/clip_maker.h"

namespace rehyat::data {
namespace {

using Names = std::vector<std::string>;

class PathPattern : public VideoTest {};

TEST_F(PathPattern, BracesStandForEachOfTheirParts) {
  EXPECT_EQ(expand_braces("a.tar"), (Names{"a.tar"}));
  EXPECT_EQ(expand_braces("{a,b}-{0..2}.tar"),
            (Names{"a-0.tar", "a-1.tar", "a-2.tar", "b-0.tar", "b-1.tar", "b-2.tar"}));
  EXPECT_EQ(expand_braces("{008..011}"), (Names{"008", "009", "010", "011"}));
  EXPECT_EQ(expand_braces("{2..0}"), (Names{"2", "1", "0"}));
  EXPECT_EQ(expand_braces("x{,y}"), (Names{"x", "xy"}));
  for (const char* bad : {"a{b", "a}b", "{a{b,c}}"}) expect_refused([&] { expand_braces(bad); }, {bad, "brace"});
  for (const char* bad : {"{a..b}", "{0..}", "{-3..2}"}) expect_refused([&] { expand_braces(bad); }, {bad, "range"});
  expect_refused([&] { expand_braces("{0..9999999}"); }, {"at most"});
  expect_refused([&] { expand_braces("{0..9999}{0..9999}"); }, {"too much"});
}

TEST_F(PathPattern, FilesAreFoundSortedAndOnce) {
  for (const char* name : {"b.tar", "a.tar", "c.txt"}) file(name, "x");
  const auto names = [&](const std::string& pattern) {
    Names out;
    for (const auto& path : expand_pattern(folder_ / pattern)) out.push_back(path.filename().string());
    return out;
  };
  EXPECT_EQ(names("*.tar"), (Names{"a.tar", "b.tar"}));
  EXPECT_EQ(names("{b,a,?}.tar"), (Names{"a.tar", "b.tar"}));
  EXPECT_EQ(names("[ac].t*"), (Names{"a.tar", "c.txt"}));
  expect_refused([&] { names("{a,z}.tar"); }, {"{a,z}.tar", "nothing at", "z.tar"});
  expect_refused([&] { names("*.zip"); }, {"*.zip", "nothing"});
  EXPECT_TRUE(is_pattern(folder_ / "*.tar"));
  EXPECT_FALSE(is_pattern(folder_ / "a.tar"));
  file("odd[1].tar", "x");
  EXPECT_FALSE(is_pattern(folder_ / "odd[1].tar"));  // a file of that very name
}

}  // namespace
}  // namespace rehyat::data
