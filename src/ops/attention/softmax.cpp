#include "ops/attention/plan.h"
#include "ops/attention_spec.h"

namespace rehyat::ops {
namespace {

class SoftmaxKind final : public AttentionKind {
 public:
  constexpr SoftmaxKind() : AttentionKind("softmax") {}

  bool has_linear() const override { return false; }
  Plan plan(const AttentionSpec&, const TokenGrid& grid) const override {
    Plan plan(grid);
    plan.parts = {{0, grid.tokens(), 0, grid.tokens()}};
    return plan;
  }
  KeyUse use(const AttentionSpec&, const TokenGrid&, std::int64_t, std::int64_t) const override {
    return KeyUse::softmax;
  }
  std::string in_plain_words(const AttentionSpec&) const override { return "attend exactly to all frames"; }
};

constinit const SoftmaxKind kSoftmaxKind;

}  // namespace

constinit const AttentionKind* const AttentionKind::softmax = &kSoftmaxKind;

}  // namespace rehyat::ops
