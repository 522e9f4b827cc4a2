#include "text/clean.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/error.h"
#include "core/expect_error.h"
#include "core/fixtures.h"
#include "files/atomic_file.h"
#include "text/html.h"
#include "text/unicode.h"

namespace rehyat::text {
namespace {

const std::filesystem::path kTable = testing::fixtures() / "text" / "clean.json";

std::string from_hex(const std::string& hex) {
  std::string out;
  for (std::size_t i = 0; i < hex.size(); i += 2) out += static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16));
  return out;
}

TEST(CleanPrompt, EqualsTheOriginalOnItsTable) {
  const auto table = nlohmann::json::parse(read_file(kTable));
  ASSERT_GE(table.size(), 300U);
  std::size_t changed = 0;
  for (const auto& row : table) {
    const std::string text = row.contains("text") ? row["text"].get<std::string>() : from_hex(row["bytes"]);
    const std::string clean = row["clean"];
    EXPECT_EQ(clean_prompt(text), clean) << row.dump(-1, ' ', true);
    changed += text != clean;
  }
  EXPECT_GE(changed, 200U);
}

TEST(CleanPrompt, WorksOnLongTexts) {
  std::string text;
  for (int i = 0; i < 20'000; ++i) text += "a  b\xC3\xA9 ";
  EXPECT_EQ(clean_prompt(text).size(), 20'000U * 6 - 1);
}

TEST(CleanPrompt, RefusesWhatIsNoUtf8) {
  for (const char* bytes : {"ok \xFF", "\xC3", "\xC0\x80", "\xF5\x80\x80\x80", "\xE0\x80\x80", "a\x80"})
    rehyat::testing::expect_error<UserError>([&] { clean_prompt(bytes); }, {"text", "found the byte", "UTF-8"});
}

TEST(Html, MessyReferences) {
  const auto plain = [](const std::u32string& text) { return to_utf8(unescape_html(text)); };
  EXPECT_EQ(plain(U"&amp;lt; &ampamp &notit; &notin;"), "&lt; &amp \u00ACit; \u2209");
  EXPECT_EQ(plain(U"&#x41&#66;&#0;&#xD800;"), "AB\uFFFD\uFFFD");
  EXPECT_EQ(plain(U"& &; &# &#; &#x; &x"), "& &; &# &#; &#x; &x");
}

}  // namespace
}  // namespace rehyat::text
