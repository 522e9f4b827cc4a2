#include "report/markup.h"

#include <gtest/gtest.h>

#include <limits>

#include "report/html_checks.h"

namespace rehyat::report {
namespace {

TEST(EscapeHtml, ReplacesWhatHtmlGivesAMeaning) {
  EXPECT_EQ(escape_html("a < b && c > \"d'"), "a &lt; b &amp;&amp; c &gt; &quot;d&#39;");
  EXPECT_EQ(escape_html("一只猫, naïve\n\tend"), "一只猫, naïve\n\tend");
}

TEST(EscapeHtml, DropsControlCharacters) {
  EXPECT_EQ(escape_html(std::string_view("a\0b\x1b[31mc\r\x7f", 11)), "ab[31mc");
}

TEST(Base64, AgreesWithTheVectorsOfRfc4648) {
  EXPECT_EQ(base64(""), "");
  EXPECT_EQ(base64("f"), "Zg==");
  EXPECT_EQ(base64("fo"), "Zm8=");
  EXPECT_EQ(base64("foo"), "Zm9v");
  EXPECT_EQ(base64("foob"), "Zm9vYg==");
  EXPECT_EQ(base64("fooba"), "Zm9vYmE=");
  EXPECT_EQ(base64("foobar"), "Zm9vYmFy");
}

TEST(Base64, TakesEveryByte) {
  EXPECT_EQ(base64(std::string_view("\xff\xfe\xfd\x00", 4)), "//79AA==");
  EXPECT_EQ(base64("\xfb\xff"), "+/8=");
}

TEST(Number, KeepsSignificantDigitsAndNamesWhatIsNotANumber) {
  EXPECT_EQ(number(0.0123456), "0.01235");
  EXPECT_EQ(number(2, 4), "2");
  EXPECT_EQ(significant(4.3, 4), "4.300");
  EXPECT_EQ(significant(0.5776, 5), "0.57760");
  EXPECT_EQ(significant(9.99996, 4), "10.00");
  EXPECT_EQ(significant(195.6, 4), "195.6");
  EXPECT_EQ(significant(1234, 4), "1234");
  EXPECT_EQ(significant(-0.05, 3), "-0.0500");
  EXPECT_EQ(significant(0, 4), "0");
  EXPECT_EQ(significant(1.5e-9, 3), "1.5e-09");
  EXPECT_EQ(significant(std::numeric_limits<double>::quiet_NaN()), "–");
  EXPECT_EQ(number(1.5e-9, 3), "1.5e-09");
  EXPECT_EQ(number(std::numeric_limits<double>::quiet_NaN()), "–");
  EXPECT_EQ(number(-std::numeric_limits<double>::infinity()), "–");
}

TEST(Fixed, HasNoNegativeZero) {
  EXPECT_EQ(fixed(-0.04, 1), "0.0");
  EXPECT_EQ(fixed(-0.06, 1), "-0.1");
  EXPECT_EQ(fixed(std::numeric_limits<double>::max(), 2).size(), 312U);
}

TEST(Markup, EscapesTextAndAttributesAndClosesInOrder) {
  Markup page;
  page.open("p", {{"title", "\"><script>"}}).text("<b>").element("i", {}, "&").close();
  const std::string html = page.finish();
  EXPECT_EQ(html, "<p title=\"&quot;&gt;&lt;script&gt;\">&lt;b&gt;<i>&amp;</i></p>");
  EXPECT_EQ(testing::unbalanced(html), "");
}

TEST(UnbalancedItself, SeesWhatIsWrong) {
  EXPECT_EQ(testing::unbalanced("<p><img src=\"a>b\"></p>"), "");
  EXPECT_NE(testing::unbalanced("<p><b></p></b>"), "");
  EXPECT_NE(testing::unbalanced("<p>"), "");
  EXPECT_NE(testing::unbalanced("</p>"), "");
  EXPECT_NE(testing::unbalanced("1 < 2"), "");
}

}  // namespace
}  // namespace rehyat::report
