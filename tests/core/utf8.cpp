#include "core/utf8.h"

#include <gtest/gtest.h>

#include "core/error.h"
#include "core/expect_error.h"

namespace rehyat {
namespace {

using testing::expect_error;

TEST(Utf8, AcceptsEveryLength) {
  EXPECT_FALSE(invalid_utf8("").has_value());
  EXPECT_FALSE(invalid_utf8("plain \n\t").has_value());
  EXPECT_FALSE(invalid_utf8("\xC3\xA9 \xE2\x82\xAC \xF0\x9F\x8E\xAC \xF4\x8F\xBF\xBF \xED\x9F\xBF").has_value());
  EXPECT_FALSE(invalid_utf8(std::string_view("a\0b", 3)).has_value());
}

TEST(Utf8, FindsTheFirstBadByte) {
  EXPECT_EQ(invalid_utf8("ab\xE9"), 2U);
  EXPECT_EQ(invalid_utf8("a\x80"), 1U);         // a byte that only follows
  EXPECT_EQ(invalid_utf8("\xC0\xAF"), 0U);      // overlong
  EXPECT_EQ(invalid_utf8("\xE0\x9F\x80"), 0U);  // overlong
  EXPECT_EQ(invalid_utf8("\xF0\x8F\x80\x80"), 0U);
  EXPECT_EQ(invalid_utf8("\xED\xA0\x80"), 0U);  // a surrogate
  EXPECT_EQ(invalid_utf8("\xF4\x90\x80\x80"), 0U);
  EXPECT_EQ(invalid_utf8("\xF5\x80\x80\x80"), 0U);
  EXPECT_EQ(invalid_utf8("a\xFF"), 1U);
  EXPECT_EQ(invalid_utf8("ok\xE2\x82"), 2U);  // cut off
}

TEST(Utf8, DecodesOneCharacter) {
  const auto code = [](std::string_view text) { return decode_utf8(text).value_or(Utf8Character{}).code; };
  EXPECT_EQ(code("ab"), U'a');
  EXPECT_EQ(code("\xC3\xA9x"), 0xE9U);
  EXPECT_EQ(code("\xE2\x82\xAC"), 0x20ACU);
  EXPECT_EQ(code("\xF0\x9F\x8E\xAC!"), 0x1F3ACU);
  EXPECT_EQ(decode_utf8("\xF0\x9F\x8E\xAC!")->bytes, 4U);
  EXPECT_EQ(decode_utf8(std::string_view("\0b", 2))->bytes, 1U);
  EXPECT_FALSE(decode_utf8(""));
  EXPECT_FALSE(decode_utf8("\xF0\x9F\x8E"));
  EXPECT_FALSE(decode_utf8("\xED\xA0\x80"));
  EXPECT_EQ(decode_utf8("\xED\xA0\x80", Surrogates::allowed)->code, 0xD800U);
  EXPECT_FALSE(decode_utf8("\xE0\x9F\x80", Surrogates::allowed));
}

TEST(Utf8, AgreesWithThePublishedTableOnEveryPairOfBytes) {
  // Unicode 15, table 3-7: which second byte may follow a first one, with well-formed bytes behind it.
  for (unsigned first = 0; first < 256; ++first) {
    for (unsigned second = 0; second < 256; ++second) {
      const char text[] = {static_cast<char>(first), static_cast<char>(second), '\x80', '\x80'};
      const unsigned low = first == 0xE0 ? 0xA0 : first == 0xF0 ? 0x90 : 0x80;
      const unsigned high = first == 0xED ? 0x9F : first == 0xF4 ? 0x8F : 0xBF;
      const bool lead = first >= 0xC2 && first <= 0xF4;
      const bool expected = first < 0x80 || (lead && second >= low && second <= high);
      EXPECT_EQ(decode_utf8({text, 4}).has_value(), expected) << first << ' ' << second;
    }
  }
}

TEST(Utf8, SaysTheLineAndTheByte) {
  EXPECT_EQ(printable("a\xE9\n\xC3\xA9"), "a\\xE9\\x0A\xC3\xA9");
  EXPECT_EQ(printable("a\xC2\x9B"
                      "b"),
            "a\\xC2\\x9Bb");  // a control character of two bytes
  EXPECT_EQ(printable("\x1b[31m\x7F \xC2\x9B[1m"), "\\x1B[31m\\x7F \\xC2\\x9B[1m");
  EXPECT_NO_THROW(require_utf8("fine\n", "a.txt"));
  expect_error<UserError>([] { require_utf8("one\ntwo\nc\xE9\n", "a.txt"); }, {"a.txt:3", "\\xE9", "UTF-8", "iconv"});
}

TEST(UserErrors, AreOneLineThatATerminalShowsAsItIs) {
  const std::string name("a\n\x1b[2J\xFF\0", 8);
  EXPECT_STREQ(UserError("x.pth: entry '" + name + "'").what(), "x.pth: entry 'a\\x0A\\x1B[2J\\xFF\\x00'");
  EXPECT_STREQ(UserError({"x.tar", name, "a name", ""}).what(),
               "x.tar: found a\\x0A\\x1B[2J\\xFF\\x00, expected a name");
  std::string long_name;
  for (int i = 0; i < 50'000; ++i) long_name += "\xE2\x82\xAC";
  const std::string shown = UserError({"x.json", "the tensor " + long_name, "one", "remove it"}).what();
  EXPECT_LE(shown.size(), 4100U);
  EXPECT_FALSE(invalid_utf8(shown));
  EXPECT_TRUE(shown.starts_with("x.json: found the tensor ") && shown.ends_with(", expected one; remove it")) << shown;
}

}  // namespace
}  // namespace rehyat
