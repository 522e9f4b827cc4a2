#include "ops/attention_spec.h"

#include <algorithm>

#include "core/strings.h"

namespace rehyat::ops {
namespace {

const std::vector<std::pair<std::string, AttentionKind>> kKinds = {{"softmax", AttentionKind::softmax},
                                                                   {"rehyat", AttentionKind::rehyat},
                                                                   {"uniform_hybrid", AttentionKind::uniform_hybrid},
                                                                   {"linear", AttentionKind::linear}};
const std::vector<std::pair<std::string, Normalizer>> kNormalizers = {
    {"joint", Normalizer::joint}, {"row_max", Normalizer::row_max}, {"lse", Normalizer::lse}};

template <typename Enum>
std::string name_of(const std::vector<std::pair<std::string, Enum>>& names, Enum value) {
  return std::find_if(names.begin(), names.end(), [value](const auto& item) { return item.second == value; })->first;
}

}  // namespace

void AttentionSpec::fields(config::Fields& f) {
  f.choice("kind", kind, kKinds, "which attention the block runs");
  const auto chunked = [this] { return kind == AttentionKind::rehyat; };
  const char* const with_chunks = "with kind rehyat";
  f.add("tc", tc, "rehyat: chunk size in latent slices").at_least(1).only(with_chunks, chunked);
  f.add("to", to, "rehyat: overlap with the chunks before, in latent slices").at_least(0).only(with_chunks, chunked);
  f.add("causal", causal, "rehyat: linear keys only from the past, which the recurrent form needs")
      .only(with_chunks, chunked);
  f.add("rate", rate, "uniform_hybrid: every rate-th key is a softmax key")
      .at_least(2)
      .only("with kind uniform_hybrid", [this] { return kind == AttentionKind::uniform_hybrid; });
  f.choice("normalizer", normalizer, kNormalizers, "how the softmax and the linear branch share the mass")
      .only("with the kinds rehyat and uniform_hybrid", [this] { return blends(); });
}

void AttentionSpec::validate() const {
  require(tc >= 1, [&] { return cat("[attention] tc: found ", tc, ", expected at least 1"); });
  require(to >= 0, [&] { return cat("[attention] to: found ", to, ", expected at least 0"); });
  require(rate >= 2, [&] { return cat("[attention] rate: found ", rate, ", expected at least 2"); });
}

std::string to_string(Normalizer normalizer) {
  return name_of(kNormalizers, normalizer);
}
std::string to_string(AttentionKind kind) {
  return name_of(kKinds, kind);
}

std::string to_string(const AttentionSpec& spec) {
  const std::string kind = to_string(spec.kind), normalizer = to_string(spec.normalizer);
  switch (spec.kind) {
    case AttentionKind::softmax:
    case AttentionKind::linear:
      return kind;
    case AttentionKind::uniform_hybrid:
      return cat(kind, "(rate=", spec.rate, ',', normalizer, ')');
    case AttentionKind::rehyat:
      break;
  }
  return cat(kind, "(tc=", spec.tc, ",to=", spec.to, spec.causal ? ",causal," : ",non-causal,", normalizer, ')');
}

std::vector<Chunk> chunks_of(std::int64_t slices, std::int64_t tc, std::int64_t to) {
  require(slices >= 1 && tc >= 1 && to >= 0, [&] {
    return cat("[attention] chunks: found ", slices, " slices, tc = ", tc, ", to = ", to,
               ", expected slices >= 1, tc >= 1, to >= 0");
  });
  std::vector<Chunk> chunks;
  for (std::int64_t begin = 0; begin < slices; begin += tc) {
    const std::int64_t end = std::min(begin + tc, slices);
    chunks.push_back({{begin, end}, {std::max<std::int64_t>(begin - to, 0), end}});
  }
  return chunks;
}

}  // namespace rehyat::ops
