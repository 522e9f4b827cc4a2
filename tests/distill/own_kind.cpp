#include <gtest/gtest.h>

#include <algorithm>

#include "analysis/wan_case.h"
#include "core/temp_folder.h"
#include "distill/distill_case.h"
#include "models/wan/weights.h"
#include "ops/attention/plan.h"
#include "ops/attention_case.h"

/// A kind of attention that no source file knows: softmax over the slices within `radius` on both sides, linear over
/// the others, no recurrent form. What a new kind takes is the class; the tests are what it gets for it.
namespace rehyat {
namespace {

using ops::AttentionSpec;
using ops::KeyUse;
using ops::TokenGrid;

constexpr ops::Setting kSlidingSettings[] = {
    {.name = "radius", .doc = "slices on either side that are softmax keys", .fallback = 1}};

class SlidingWindowKind final : public ops::AttentionKind {
 public:
  constexpr SlidingWindowKind() : AttentionKind("sliding_window") {}
  std::span<const ops::Setting> settings() const override { return kSlidingSettings; }

  ops::Plan plan(const AttentionSpec& spec, const TokenGrid& grid) const override {
    ops::Plan plan(grid);
    const std::int64_t hw = grid.per_slice, radius = *spec.value("radius");
    for (std::int64_t t = 0; t < grid.slices; ++t) {
      const std::int64_t begin = std::max<std::int64_t>(t - radius, 0), end = std::min(t + radius + 1, grid.slices);
      plan.parts.push_back({t * hw, hw, begin * hw, (end - begin) * hw, begin, end});
    }
    return plan;
  }
  KeyUse use(const AttentionSpec& spec, const TokenGrid& grid, std::int64_t query, std::int64_t key) const override {
    const std::int64_t distance = std::abs(query / grid.per_slice - key / grid.per_slice);
    return distance <= *spec.value("radius") ? KeyUse::softmax : KeyUse::linear;
  }
  std::string in_plain_words(const AttentionSpec& spec) const override {
    return cat("attend exactly to ", *spec.value("radius"), " latent slices on either side");
  }
};

constinit const SlidingWindowKind kSlidingWindow;

ops::AttentionKinds with_sliding_window() {
  ops::AttentionKinds kinds = ops::built_in_kinds();
  kinds.push_back(&kSlidingWindow);
  return kinds;
}

AttentionSpec sliding(std::int64_t radius, ops::Normalizer normalizer = ops::Normalizer::joint) {
  AttentionSpec spec{.kind = &kSlidingWindow, .normalizer = normalizer};
  if (radius != 1) spec.own["radius"] = radius;
  return spec;
}

TEST(OwnKind, FastFormAndGradientsEqualTheReference) {
  for (const auto normalizer : {ops::Normalizer::joint, ops::Normalizer::row_max, ops::Normalizer::lse}) {
    for (const std::int64_t radius : {0, 1, 2, 9}) {
      const AttentionSpec spec = sliding(radius, normalizer);
      const ops::Inputs in = ops::random_inputs(7, 3, 1);
      EXPECT_LE(ops::largest_difference(ops::run_fast(in, spec), ops::run_reference(in, spec)), 1e-12)
          << to_string(spec);
      const auto fast = ops::gradients(in, [&](const ops::Inputs& x) { return ops::run_fast(x, spec); });
      const auto literal = ops::gradients(in, [&](const ops::Inputs& x) { return ops::run_reference(x, spec); });
      for (std::size_t i = 0; i < fast.size(); ++i)
        EXPECT_LE(ops::largest_difference(fast[i], literal[i]), 1e-10) << to_string(spec) << " d" << ops::kNames[i];
    }
  }
}

/// The same window and nothing outside of it.
class LocalKind final : public ops::AttentionKind {
 public:
  constexpr LocalKind() : AttentionKind("local") {}
  bool has_linear() const override { return false; }
  ops::Plan plan(const AttentionSpec&, const TokenGrid& grid) const override {
    ops::Plan plan = kSlidingWindow.plan(sliding(1), grid);
    for (ops::Part& part : plan.parts) part = {part.q_begin, part.q_count, part.k_begin, part.k_count};
    return plan;
  }
  KeyUse use(const AttentionSpec&, const TokenGrid& grid, std::int64_t query, std::int64_t key) const override {
    const KeyUse use = kSlidingWindow.use(sliding(1), grid, query, key);
    return use == KeyUse::linear ? KeyUse::none : use;
  }
  std::string in_plain_words(const AttentionSpec&) const override { return "attend exactly to the slices beside"; }
};

constinit const LocalKind kLocal;

TEST(OwnKind, WithoutALinearBranchNeedsNoFeatures) {
  const AttentionSpec spec{.kind = &kLocal};
  const ops::Inputs in = ops::random_inputs(7, 3, 2);
  const auto fast = [&](const ops::Inputs& x) { return ops::hybrid_attention(x.q, x.k, x.v, {}, {}, 7, spec); };
  const auto literal = [&](const ops::Inputs& x) {
    return ops::hybrid_attention_reference(x.q, x.k, x.v, {}, {}, 7, spec);
  };
  EXPECT_LE(ops::largest_difference(fast(in), literal(in)), 1e-12);
  const auto a = ops::gradients(in, fast), b = ops::gradients(in, literal);
  for (std::size_t i = 0; i < a.size(); ++i) EXPECT_LE(ops::largest_difference(a[i], b[i]), 1e-10) << ops::kNames[i];
  models::WanTransformer model = testing::small_wan();
  testing::convert_all(model, {spec, {}});
  EXPECT_TRUE(model->tensors(models::Weights::feature_maps).empty());
  EXPECT_EQ(models::block_map_of(model).size(), 3U);
  EXPECT_LE(testing::relative_difference(
                testing::run(model, testing::wan_inputs()),
                testing::run(model, testing::wan_inputs(), {.form = models::AttentionForm::reference})),
            1e-5);
}

TEST(OwnKind, IsNamedInAConfigThroughTheTable) {
  const auto read = [](const std::string& text, const ops::AttentionKinds& kinds) {
    AttentionSpec spec;
    config::Fields fields;
    spec.fields(fields, kinds);
    config::Document::from_text(text, "run.yaml").bind(fields);
    spec.validate();
    return spec;
  };
  EXPECT_EQ(read("{ kind: sliding_window, radius: 4 }", with_sliding_window()), sliding(4));
  EXPECT_EQ(read("{ kind: sliding_window, radius: 1, normalizer: lse }", with_sliding_window()),
            sliding(1, ops::Normalizer::lse));
  EXPECT_EQ(to_string(sliding(4)), "sliding_window(radius=4,joint)");
  EXPECT_EQ(config::to_json(sliding(4)).dump(), R"({"kind":"sliding_window","radius":4,"normalizer":"joint"})");
  EXPECT_THROW(read("{ kind: sliding_window, radius: -1 }", with_sliding_window()), UsageError);
  EXPECT_THROW(read("{ kind: rehyat, radius: 4 }", with_sliding_window()), UsageError);
  EXPECT_THROW(read("{ kind: sliding_window }", ops::built_in_kinds()), UsageError);
}

TEST(OwnKind, ConvertsDistilsSavesAndLoadsAModel) {
  models::WanTransformer model = testing::small_wan();
  const models::BlockMap blocks = testing::all_blocks(model, {sliding(2), {}});
  const testing::TempFolder folder;
  testing::FakePoints points;
  const auto results = distill::distill({model, blocks, testing::distill_config(), 5, "f", folder / "phi"}, points,
                                        comm::Communicator());
  for (const auto& result : results) EXPECT_LT(result.distilled, result.untrained);
  models::convert(model, blocks, 5, testing::kLatent);
  distill::load_feature_maps(model, blocks, folder / "phi", "f");
  const auto in = testing::wan_inputs();
  const at::Tensor y = testing::run(model, in);
  EXPECT_LE(testing::relative_difference(y, testing::run(model, in, {.form = models::AttentionForm::reference})), 1e-5);
  models::save_model(folder / "model", model);
  models::LoadOptions options;
  EXPECT_THROW(models::load_model(folder / "model", options), UserError);  // it does not know the kind
  options.kinds = with_sliding_window();
  models::WanTransformer again = models::load_model(folder / "model", options);
  EXPECT_EQ(models::block_map_of(again), blocks);
  EXPECT_TRUE(at::equal(testing::run(again, in), y));
  EXPECT_FALSE(again->fully_recurrent());
}

TEST(OwnKind, IsCountedByItsPlan) {
  const analysis::BlockCost cost = analysis::block_cost(analysis::kWan, analysis::kVideo, sliding(1));
  EXPECT_EQ(cost.kind, "sliding_window");
  EXPECT_FALSE(cost.block_tflops_recurrent.has_value());
  // 19 slices see three slices by softmax, the two at the ends see two; the others see the rest linearly.
  const double slice = 1560, n = 21 * slice, softmax = (19 * 3 + 2 * 2) * slice * slice;
  const double linear = (19 * 18 + 2 * 19) * slice, maps = 4.0 * (128 * 256 + 256 * 256) * 12 * n;
  EXPECT_NEAR(cost.attention_tflops, (4 * 1536 * softmax + maps + 2 * (n + linear) * 256 * 128 * 12) / 1e12, 1e-9);
}

}  // namespace
}  // namespace rehyat
