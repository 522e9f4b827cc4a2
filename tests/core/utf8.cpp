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

TEST(Utf8, SaysTheLineAndTheByte) {
  EXPECT_EQ(printable("a\xE9\n\xC3\xA9"), "a\\xE9\\x0A\xC3\xA9");
  EXPECT_NO_THROW(require_utf8("fine\n", "a.txt"));
  expect_error<UserError>([] { require_utf8("one\ntwo\nc\xE9\n", "a.txt"); }, {"a.txt:3", "\\xE9", "UTF-8", "iconv"});
}

}  // namespace
}  // namespace rehyat
