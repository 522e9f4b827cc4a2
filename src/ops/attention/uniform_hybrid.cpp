#include <algorithm>

#include "core/strings.h"
#include "ops/attention/plan.h"
#include "ops/attention_spec.h"

namespace rehyat::ops {
namespace {

constexpr Setting kUniformSettings[] = {
    {.name = "rate", .doc = "every rate-th key is a softmax key", .number = &AttentionSpec::rate, .at_least = 2}};

class UniformHybridKind final : public AttentionKind {
 public:
  constexpr UniformHybridKind() : AttentionKind("uniform_hybrid") {}

  std::span<const Setting> settings() const override { return kUniformSettings; }

  /// Gathered, the softmax keys 0, R, 2R, ... make one dense rectangle; all others are one slice of linear keys.
  Plan plan(const AttentionSpec& spec, const TokenGrid& grid) const override {
    const std::int64_t rate = spec.rate, tokens = grid.tokens(), near = (tokens + rate - 1) / rate, far = tokens - near;
    Plan plan(grid);
    plan.softmax_keys = {
        near,
        [=](at::Device device) { return at::arange(0, tokens, rate, at::TensorOptions(at::kLong).device(device)); },
        {}};
    plan.linear_keys = {far,
                        [=](at::Device device) {
                          const at::Tensor i = at::arange(far, at::TensorOptions(at::kLong).device(device));
                          return i + at::floor_divide(i, rate - 1) + 1;  // R - 1 keys between two softmax keys
                        },
                        {}};
    if (tokens % rate == 0) {
      // Gathering by numbers reads as much, but brings its gradients back one row at a time.
      plan.softmax_keys.rows = [rate](const at::Tensor& x) { return x.slice(2, 0, x.size(2), rate); };
      plan.linear_keys.rows = [rate](const at::Tensor& x) {
        return x.unflatten(2, {x.size(2) / rate, rate}).slice(3, 1, rate).flatten(2, 3);
      };
    }
    plan.linear_slices = 1;
    plan.parts = {{0, tokens, 0, near, far > 0 ? 1 : 0, 1}};
    return plan;
  }
  KeyUse use(const AttentionSpec& spec, const TokenGrid&, std::int64_t, std::int64_t key) const override {
    return key % spec.rate == 0 ? KeyUse::softmax : KeyUse::linear;
  }
  std::int64_t window_tokens(const AttentionSpec& spec, const TokenGrid& grid) const override {
    return std::max<std::int64_t>(grid.tokens() / spec.rate, 1);
  }

  std::string in_plain_words(const AttentionSpec& spec) const override {
    return cat("attend exactly to one token in ", spec.rate, ", and to the others through a summary of fixed size");
  }
  std::vector<AttentionSpec> examples() const override {
    return {{.kind = this, .rate = 2}, {.kind = this, .rate = 4}, {.kind = this, .rate = 8}};
  }
};

constinit const UniformHybridKind kUniformHybridKind;

}  // namespace

constinit const AttentionKind* const AttentionKind::uniform_hybrid = &kUniformHybridKind;

}  // namespace rehyat::ops
