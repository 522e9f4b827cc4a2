#include <gtest/gtest.h>

#include <set>

#include "core/error.h"
#include "ops/attention/plan.h"
#include "ops/attention_case.h"

/// What every built-in kind has to keep to.
namespace rehyat::ops {
namespace {

const std::vector<TokenGrid> kGrids = {{1, 1}, {1, 3}, {2, 1}, {5, 2}, {7, 3}, {11, 2}};

std::vector<AttentionSpec> examples_and_grid() {
  std::vector<AttentionSpec> specs = grid_of_specs();
  for (const AttentionKind* kind : built_in_kinds()) {
    for (const AttentionSpec& spec : kind->examples()) specs.push_back(spec);
  }
  return specs;
}

std::vector<std::int64_t> keys_of(const KeyList& list) {
  std::vector<std::int64_t> out;
  for (std::int64_t i = 0; i < list.count; ++i) out.push_back(i);
  if (!list.numbers) return out;
  const at::Tensor numbers = list.numbers(at::kCPU);
  EXPECT_EQ(numbers.sizes(), (at::IntArrayRef{list.count}));
  for (auto& key : out) key = numbers[key].item<std::int64_t>();
  return out;
}

/// How every query sees every key by the plan, query by query; -1: not at all planned.
std::vector<int> uses_of(const Plan& plan, const TokenGrid& grid) {
  const std::int64_t tokens = grid.tokens(), slice = plan.linear_keys.count / plan.linear_slices;
  const auto near = keys_of(plan.softmax_keys), far = keys_of(plan.linear_keys);
  std::vector<int> uses(static_cast<std::size_t>(tokens * tokens), -1);
  for (const Part& part : plan.parts) {
    for (std::int64_t query = part.q_begin; query < part.q_begin + part.q_count; ++query) {
      const auto use = [&](std::int64_t key) -> int& { return uses[static_cast<std::size_t>(query * tokens + key)]; };
      for (std::int64_t key = 0; key < tokens; ++key) EXPECT_EQ(std::exchange(use(key), 0), -1) << "a query twice";
      for (std::int64_t i = part.k_begin; i < part.k_begin + part.k_count; ++i)
        use(near[static_cast<std::size_t>(i)]) += static_cast<int>(KeyUse::softmax);
      for (std::int64_t i = 0; i < plan.linear_keys.count; ++i) {
        if (i / slice < part.before || i / slice >= part.after)
          use(far[static_cast<std::size_t>(i)]) += static_cast<int>(KeyUse::linear);
      }
    }
  }
  return uses;
}

/// Where a plan picks rows without numbers, it picks those of its numbers.
TEST(AttentionKinds, RowsOfAKeyListAreItsNumbers) {
  for (const std::int64_t rate : {2, 3, 4, 6}) {
    const AttentionSpec spec{AttentionKind::uniform_hybrid, 3, 1, true, rate};
    const Plan plan = spec.kind->plan(spec, {6, 4});
    const at::Tensor all = at::arange(24, at::kLong).view({1, 1, 24, 1});
    for (const KeyList* list : {&plan.softmax_keys, &plan.linear_keys}) {
      ASSERT_TRUE(list->rows);
      EXPECT_TRUE(at::equal(list->rows(all).flatten(), list->numbers(at::kCPU))) << rate;
    }
    EXPECT_FALSE(spec.kind->plan(spec, {1, 4 * rate + 1}).softmax_keys.rows);
  }
}

TEST(AttentionKinds, ThePlanIsThePatternTokenByToken) {
  for (const AttentionSpec& spec : examples_and_grid()) {
    for (const TokenGrid& grid : kGrids) {
      std::vector<int> expected;
      for (std::int64_t query = 0; query < grid.tokens(); ++query) {
        for (std::int64_t key = 0; key < grid.tokens(); ++key)
          expected.push_back(static_cast<int>(spec.kind->use(spec, grid, query, key)));
      }
      EXPECT_EQ(uses_of(spec.kind->plan(spec, grid), grid), expected)
          << to_string(spec) << " T=" << grid.slices << " HW=" << grid.per_slice;
    }
  }
}

TEST(AttentionKinds, HaveNamesSettingsAndWordsOfTheirOwn) {
  std::set<std::string> names;
  for (const AttentionKind* kind : built_in_kinds()) {
    EXPECT_TRUE(names.insert(kind->name()).second) << kind->name();
    ASSERT_FALSE(kind->examples().empty());
    for (const AttentionSpec& spec : kind->examples()) {
      EXPECT_EQ(config::from_json<AttentionSpec>(config::to_json(spec), "saved"), spec) << to_string(spec);
      EXPECT_EQ(to_string(spec).rfind(kind->name(), 0), 0U);
      EXPECT_EQ(kind->in_plain_words(spec).rfind("attend ", 0), 0U);
      EXPECT_EQ(spec.recurrent() && kind->recurrent_name().empty(), false) << to_string(spec);
    }
  }
  EXPECT_EQ(recurrent_kinds(), "causal rehyat");
}

TEST(AttentionKinds, AreWrittenByTheirSettings) {
  EXPECT_EQ(to_string(AttentionSpec{.kind = AttentionKind::softmax}), "softmax");
  EXPECT_EQ(to_string(AttentionSpec{.kind = AttentionKind::linear}), "linear");
  EXPECT_EQ(to_string(AttentionSpec{.tc = 3, .to = 1}), "rehyat(tc=3,to=1,causal,joint)");
  EXPECT_EQ(to_string(AttentionSpec{.causal = false, .normalizer = Normalizer::lse}),
            "rehyat(tc=3,to=1,non-causal,lse)");
  EXPECT_EQ(to_string(AttentionSpec{.kind = AttentionKind::uniform_hybrid, .rate = 4}), "uniform_hybrid(rate=4,joint)");
  EXPECT_EQ(config::to_json(AttentionSpec{}).dump(),
            R"({"kind":"rehyat","tc":3,"to":1,"causal":true,"normalizer":"joint"})");
  EXPECT_EQ(config::to_json(AttentionSpec{.kind = AttentionKind::uniform_hybrid}).dump(),
            R"({"kind":"uniform_hybrid","rate":2,"normalizer":"joint"})");
}

TEST(AttentionKinds, CountTheSoftmaxKeysOfAQuery) {
  const auto window = [](const AttentionSpec& spec, std::int64_t slices) { return spec.window_tokens({slices, 10}); };
  EXPECT_EQ(window({.kind = AttentionKind::rehyat, .tc = 3, .to = 1}, 21), 40);
  EXPECT_EQ(window({.kind = AttentionKind::rehyat, .tc = 3, .to = 1}, 2), 20);
  EXPECT_EQ(window({.kind = AttentionKind::uniform_hybrid, .rate = 8}, 4), 5);
  EXPECT_EQ(window({.kind = AttentionKind::softmax}, 4), 40);
}

}  // namespace
}  // namespace rehyat::ops
