#include <gtest/gtest.h>
#include <sentencepiece_processor.h>

#include "core/fixtures.h"
#include "text/tokenizer.h"

// A second opinion: the library that the format comes from. It settles ties in float32, falls back to bytes and treats
// a leading U+2581 in its own way, so only ordinary text is compared.
namespace rehyat::text {
namespace {

TEST(Tokenizer, AgreesWithSentencePieceOnOrdinaryText) {
  const auto path = testing::fixtures() / "text" / "tokenizer" / "spiece" / "spiece.model";
  sentencepiece::SentencePieceProcessor library;
  ASSERT_TRUE(library.Load(path.string()).ok());
  const Tokenizer tokenizer(path);
  for (const char* text :
       {"The cat sits near the window.", "camera pans slowly across the city at night, low quality",
        "\u955C\u5934\u7F13\u7F13\u63A8\u8FDB \u732B\u5750\u5728\u7A97\u53F0\u4E0A", "caf\u00E9 na\u00EFve",
        "1,080p & 16 fps!", "\uFF26\uFF35\uFF2C\uFF2C \u00BD \u338F", "", "unseen \u0416 letters \u0416\u0416"}) {
    std::vector<int> expected;
    ASSERT_TRUE(library.Encode(text, &expected).ok());
    std::vector<std::int64_t> ids = tokenizer.encode(text, 512);
    ASSERT_EQ(ids.back(), library.eos_id());
    ids.pop_back();
    EXPECT_EQ(ids, std::vector<std::int64_t>(expected.begin(), expected.end())) << text;
  }
}

}  // namespace
}  // namespace rehyat::text
