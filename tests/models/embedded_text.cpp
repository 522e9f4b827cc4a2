#include <gtest/gtest.h>

#include "core/error.h"
#include "models/embedded/embedded_encoders.h"
#include "models/embedded/seeded_text.h"

namespace rehyat::models {
namespace {

using Words = std::vector<std::string>;

TEST(SplitWords, LowersAndSeparates) {
  EXPECT_EQ(split_words("A red  BIKE, 2 wheels."), (Words{"a", "red", "bike", "2", "wheels"}));
  EXPECT_EQ(split_words("don't 'quote' o\u2019clock"), (Words{"don't", "quote", "o'clock"}));
  EXPECT_EQ(split_words(""), Words{});
  EXPECT_EQ(split_words(" \t\n...!"), Words{});
}

TEST(SplitWords, KeepsUtf8Whole) {
  EXPECT_EQ(split_words("caf\u00e9\u2014na\u00efve"), (Words{"caf\u00e9", "na\u00efve"}));
  EXPECT_EQ(split_words("\u7ea2\u8272\uff0c\u8f66"), (Words{"\u7ea2", "\u8272", "\u8f66"}));
  EXPECT_EQ(split_words("\u00abдом\u00bb"), (Words{"дом"}));
}

TEST(SplitWords, BytesThatAreNoUtf8Separate) {
  EXPECT_EQ(split_words("a\xff"
                        "b"),
            (Words{"a", "b"}));
  EXPECT_EQ(split_words("a\xc3"), (Words{"a"}));  // cut in the middle
  EXPECT_EQ(split_words("a\xc0\xaf"
                        "b"),
            (Words{"a", "b"}));  // overlong
  EXPECT_EQ(split_words("a\xed\xa0\x80"
                        "b"),
            (Words{"a", "b"}));  // surrogate
}

SeededTextEncoder encoder(std::int64_t length = 8, std::int64_t width = 64, std::uint64_t seed = 1) {
  return SeededTextEncoder({.length = length, .width = width, .seed = seed});
}

TEST(SeededTextEncoder, ZeroPaddedWithAnEndRow) {
  const at::Tensor rows = encoder().encode({"a red bike", ""});
  ASSERT_EQ(rows.sizes(), (at::IntArrayRef{2, 8, 64}));
  const at::Tensor rms = rows.square().mean(2).sqrt();
  const at::Tensor expected = at::tensor({1, 1, 1, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0}, at::kFloat).view({2, 8});
  EXPECT_TRUE(at::allclose(rms, expected, 0, 1e-5)) << rms;
}

TEST(SeededTextEncoder, SameWordsSameNumbers) {
  const at::Tensor rows = encoder().encode({"a red bike", "A  Red bike!"});
  EXPECT_TRUE(at::equal(rows[0], rows[1]));
  EXPECT_TRUE(at::equal(encoder().encode({"a red bike"})[0], rows[0]));
}

TEST(SeededTextEncoder, WordOrderPlaceAndSeedCount) {
  const at::Tensor rows = encoder().encode({"dog bites man", "man bites dog", "dog dog"});
  EXPECT_FALSE(at::allclose(rows[0], rows[1], 0, 0.1));
  EXPECT_FALSE(at::allclose(rows[2][0], rows[2][1], 0, 0.1));
  EXPECT_FALSE(at::allclose(encoder(8, 64, 2).encode({"dog bites man"})[0], rows[0], 0, 0.1));
  // The same word in another place is still nearer to itself than to another word.
  const at::Tensor wide = encoder(8, 4096).encode({"dog bites man", "man bites dog"}) / 64;
  const double same = wide[0][0].dot(wide[1][2]).item<double>(), other = wide[0][0].dot(wide[1][0]).item<double>();
  EXPECT_GT(same, other + 0.2);
}

TEST(SeededTextEncoder, LongPromptsAreCutButKeepTheirEnd) {
  const at::Tensor rows = encoder(3).encode({"one two three four five"});
  const at::Tensor cut = encoder(3).encode({"one two"});
  EXPECT_TRUE(at::equal(rows, cut));
  EXPECT_EQ(encoder(1).encode({"one"}).square().mean().gt(0.9).item<bool>(), true);
}

TEST(SeededTextEncoder, FingerprintNamesTheSettings) {
  EXPECT_EQ(encoder().fingerprint(), encoder().fingerprint());
  EXPECT_NE(encoder().fingerprint(), encoder(9).fingerprint());
  EXPECT_NE(encoder().fingerprint(), encoder(8, 32).fingerprint());
  EXPECT_NE(encoder().fingerprint(), encoder(8, 64, 2).fingerprint());
}

TEST(SeededTextEncoder, RefusesEmptySizes) {
  EXPECT_THROW(encoder(0), UserError);
  EXPECT_THROW(encoder(8, 0), UserError);
}

}  // namespace
}  // namespace rehyat::models
