#include "core/rng.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <string>

#include "core/hash.h"

namespace rehyat {
namespace {

using Block = std::array<std::uint32_t, 4>;

/// Philox 4x32-10 written from the paper a second time, one round after the other.
Block reference_philox(Block c, std::array<std::uint32_t, 2> k) {
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t left = std::uint64_t{0xD2511F53U} * c[0], right = std::uint64_t{0xCD9E8D57U} * c[2];
    const Block next = {static_cast<std::uint32_t>(right >> 32) ^ c[1] ^ k[0], static_cast<std::uint32_t>(right),
                        static_cast<std::uint32_t>(left >> 32) ^ c[3] ^ k[1], static_cast<std::uint32_t>(left)};
    c = next;
    k = {k[0] + 0x9E3779B9U, k[1] + 0xBB67AE85U};
  }
  return c;
}

TEST(Rng, TheReferenceGivesThePublishedAnswers) {
  EXPECT_EQ(reference_philox({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const std::uint32_t f = 0xffffffff;
  EXPECT_EQ(reference_philox({f, f, f, f}, {f, f}), (Block{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  EXPECT_EQ(reference_philox({0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}, {0xa4093822, 0x299f31d0}),
            (Block{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Rng, AStreamIsPhiloxUnderTheHashOfItsName) {
  const std::uint64_t seed = 42, index = 7;
  const std::string digest =
      Hasher().update(&seed, sizeof seed).update("test.golden").update(&index, sizeof index).digest();
  const auto half = [&](std::size_t at) { return std::stoull(digest.substr(at, 16), nullptr, 16); };
  const std::uint64_t key = half(0), stream = half(16);
  Rng rng(seed, "test.golden", {index});
  for (std::uint32_t block = 0; block < 3; ++block) {
    const Block expected =
        reference_philox({block, 0, static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
                         {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)});
    for (const std::uint32_t word : expected) EXPECT_EQ(rng.next_u32(), word);
  }
  // The upper half of the counter is used, too.
  rng.set_position(std::uint64_t{5} << 34);
  EXPECT_EQ(rng.next_u32(),
            reference_philox({0, 5, static_cast<std::uint32_t>(stream), static_cast<std::uint32_t>(stream >> 32)},
                             {static_cast<std::uint32_t>(key), static_cast<std::uint32_t>(key >> 32)})[0]);
}

TEST(Rng, StreamsStayWhatTheyWereInEarlierVersions) {
  Rng rng(1, "test.golden", {2, 3});
  const std::array<std::uint32_t, 4> words = {rng.next_u32(), rng.next_u32(), rng.next_u32(), rng.next_u32()};
  EXPECT_EQ(words, (Block{0x2582c219, 0x19c0388b, 0x538b0a40, 0x747d84c3}));
  Rng values(1, "test.golden", {2, 3});
  std::array<float, 3> normal{};
  values.fill_normal(normal);
  EXPECT_FLOAT_EQ(normal[0], 1.58129346F);
  EXPECT_FLOAT_EQ(normal[1], 1.15784693F);
  EXPECT_FLOAT_EQ(normal[2], -1.43722248F);
}

TEST(Rng, EveryPartOfTheNameMatters) {
  const auto first = [](Rng rng) { return rng.next_u32(); };
  const std::vector<std::uint32_t> words = {
      first(Rng(1, "a")),      first(Rng(2, "a")),         first(Rng(1, "b")),         first(Rng(1, "a", {0})),
      first(Rng(1, "a", {1})), first(Rng(1, "a", {0, 0})), first(Rng(1, "a", {1, 0})), first(Rng(1, "a", {0, 1}))};
  for (std::size_t i = 0; i < words.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) EXPECT_NE(words[i], words[j]) << i << " and " << j;
  }
}

TEST(Rng, TheOrderInWhichStreamsAreAskedDoesNotMatter) {
  std::vector<double> forward, backward(10);
  for (std::uint64_t i = 0; i < 10; ++i) {
    Rng rng(5, "test.order", {i});
    forward.push_back(rng.normal());
  }
  for (std::uint64_t i = 10; i-- > 0;) {
    Rng rng(5, "test.order", {i});
    backward[i] = rng.normal();
  }
  EXPECT_EQ(forward, backward);
}

TEST(Rng, ThePositionCanBeSavedAndTakenUp) {
  Rng rng(5, "test.position");
  EXPECT_EQ(rng.position(), 0U);
  for (int i = 0; i < 7; ++i) rng.next_u32();
  EXPECT_EQ(rng.position(), 7U);
  rng.uniform();
  EXPECT_EQ(rng.position(), 9U);
  const std::uint64_t saved = rng.position();
  std::vector<float> expected(37), again(37);
  rng.fill_normal(expected);
  EXPECT_EQ(rng.position(), 52U);  // from the next whole block, 12, over 10 blocks
  const double after = rng.uniform();
  Rng other(5, "test.position");
  other.set_position(saved);
  other.fill_normal(again);
  EXPECT_EQ(again, expected);
  EXPECT_EQ(other.uniform(), after);
}

TEST(Rng, AFilledValueDependsOnlyOnWhereItStands) {
  for (const bool normal : {false, true}) {
    const auto fill = [&](std::uint64_t position, std::size_t count) {
      Rng rng(5, "test.fill");
      rng.set_position(position);
      std::vector<float> out(count);
      normal ? rng.fill_normal(out) : rng.fill_uniform(out);
      return out;
    };
    const auto all = fill(0, 64);
    for (const std::size_t count : {0U, 1U, 2U, 3U, 5U, 63U}) {
      const auto part = fill(0, count);
      EXPECT_TRUE(std::equal(part.begin(), part.end(), all.begin()));
    }
    const auto tail = fill(20, 44);
    EXPECT_TRUE(std::equal(tail.begin(), tail.end(), all.begin() + 20));
    EXPECT_EQ(fill(17, 44), tail);  // rounded up to a whole block
  }
}

TEST(Rng, ValuesHaveTheirDistributions) {
  Rng rng(9, "test.moments");
  std::vector<float> normal(200'000), uniform(200'000);
  rng.fill_normal(normal);
  rng.fill_uniform(uniform);
  const auto mean = [](const std::vector<float>& x, int power) {
    double sum = 0;
    for (const float v : x) sum += std::pow(v, power);
    return sum / static_cast<double>(x.size());
  };
  EXPECT_NEAR(mean(normal, 1), 0, 0.01);
  EXPECT_NEAR(mean(normal, 2), 1, 0.015);
  EXPECT_NEAR(mean(normal, 3), 0, 0.04);
  EXPECT_NEAR(mean(normal, 4), 3, 0.1);
  EXPECT_NEAR(mean(uniform, 1), 0.5, 0.003);
  EXPECT_NEAR(mean(uniform, 2), 1.0 / 3, 0.003);
  EXPECT_GE(*std::min_element(uniform.begin(), uniform.end()), 0.0F);
  EXPECT_LT(*std::max_element(uniform.begin(), uniform.end()), 1.0F);
  double sum = 0, square = 0, cross = 0, last = 0;
  for (int i = 0; i < 100'000; ++i) {
    const double v = rng.normal();
    sum += v;
    square += v * v;
    cross += v * last;
    last = v;
  }
  EXPECT_NEAR(sum / 1e5, 0, 0.015);
  EXPECT_NEAR(square / 1e5, 1, 0.02);
  EXPECT_NEAR(cross / 1e5, 0, 0.015);
}

TEST(Rng, BelowIsEvenAndInRange) {
  Rng rng(9, "test.below");
  std::array<int, 7> counts{};
  for (int i = 0; i < 70'000; ++i) ++counts.at(rng.below(7));
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 400);
  EXPECT_EQ(rng.below(1), 0U);
  for (int i = 0; i < 100; ++i) EXPECT_LT(rng.below((std::uint64_t{1} << 63) + 1), (std::uint64_t{1} << 63) + 1);
}

TEST(Rng, ShuffleIsAPermutationAndRepeatable) {
  std::vector<int> items(100), again;
  std::iota(items.begin(), items.end(), 0);
  const auto sorted = items;
  again = items;
  Rng(1, "test.shuffle").shuffle(items);
  Rng(1, "test.shuffle").shuffle(again);
  EXPECT_EQ(items, again);
  EXPECT_NE(items, sorted);
  std::sort(items.begin(), items.end());
  EXPECT_EQ(items, sorted);
}

}  // namespace
}  // namespace rehyat
