#include <algorithm>

#include "core/strings.h"
#include "ops/attention/plan.h"
#include "ops/attention_spec.h"

namespace rehyat::ops {
namespace {

constexpr Setting kRehyatSettings[] = {
    {.name = "tc", .doc = "chunk size in latent slices", .number = &AttentionSpec::tc, .at_least = 1},
    {.name = "to", .doc = "overlap with the chunks before, in latent slices", .number = &AttentionSpec::to},
    {.name = "causal",
     .doc = "linear keys only from the past, which the recurrent form needs",
     .flag = &AttentionSpec::causal}};

class RehyatKind final : public AttentionKind {
 public:
  constexpr RehyatKind() : AttentionKind("rehyat") {}

  std::span<const Setting> settings() const override { return kRehyatSettings; }

  Plan plan(const AttentionSpec& spec, const TokenGrid& grid) const override {
    const std::int64_t hw = grid.per_slice;
    Plan plan(grid);
    for (const Chunk& chunk : chunks_of(grid.slices, spec.tc, spec.to)) {
      plan.parts.push_back({chunk.queries.begin * hw, chunk.queries.size() * hw, chunk.window.begin * hw,
                            chunk.window.size() * hw, chunk.window.begin,
                            spec.causal ? grid.slices : chunk.window.end});
    }
    return plan;
  }
  KeyUse use(const AttentionSpec& spec, const TokenGrid& grid, std::int64_t query, std::int64_t key) const override {
    const std::int64_t slice = key / grid.per_slice, chunk = query / grid.per_slice / spec.tc;
    if (slice < chunk * spec.tc - spec.to) return KeyUse::linear;
    if (slice < (chunk + 1) * spec.tc) return KeyUse::softmax;
    return spec.causal ? KeyUse::none : KeyUse::linear;
  }
  std::optional<Recurrence> recurrence(const AttentionSpec& spec) const override {
    if (!spec.causal) return std::nullopt;
    return Recurrence{spec.tc, spec.to};
  }
  std::string recurrent_name() const override { return "causal rehyat"; }
  std::int64_t window_tokens(const AttentionSpec& spec, const TokenGrid& grid) const override {
    return std::min(spec.tc + spec.to, grid.slices) * grid.per_slice;
  }

  std::string in_plain_words(const AttentionSpec& spec) const override {
    return cat("attend exactly to the frames nearby (chunks of ", spec.tc, " latent slices and the ", spec.to,
               " before), and to ", spec.causal ? "everything older" : "all others",
               " through a summary of fixed size");
  }
  /// The patterns of the paper's tables.
  std::vector<AttentionSpec> examples() const override {
    return {{.kind = this, .tc = 1, .to = 1}, {.kind = this, .tc = 2, .to = 1},
            {.kind = this, .tc = 3, .to = 1}, {.kind = this, .tc = 5, .to = 1},
            {.kind = this, .tc = 3, .to = 0}, {.kind = this, .tc = 3, .to = 0, .causal = false}};
  }
};

constinit const RehyatKind kRehyatKind;

}  // namespace

constinit const AttentionKind* const AttentionKind::rehyat = &kRehyatKind;

}  // namespace rehyat::ops
