#include "ops/attention/plan.h"
#include "ops/attention_spec.h"

namespace rehyat::ops {
namespace {

class LinearKind final : public AttentionKind {
 public:
  constexpr LinearKind() : AttentionKind("linear") {}

  bool has_softmax() const override { return false; }
  Plan plan(const AttentionSpec&, const TokenGrid& grid) const override {
    Plan plan(grid);
    plan.linear_slices = 1;
    plan.parts = {{0, grid.tokens(), 0, 0, 1, 1}};
    return plan;
  }
  KeyUse use(const AttentionSpec&, const TokenGrid&, std::int64_t, std::int64_t) const override {
    return KeyUse::linear;
  }
  std::int64_t window_tokens(const AttentionSpec&, const TokenGrid& grid) const override { return grid.tokens(); }
  std::string in_plain_words(const AttentionSpec&) const override { return "attend through a summary of fixed size"; }
};

constinit const LinearKind kLinearKind;

}  // namespace

constinit const AttentionKind* const AttentionKind::linear = &kLinearKind;

}  // namespace rehyat::ops
