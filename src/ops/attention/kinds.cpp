#include <algorithm>

#include "core/strings.h"
#include "ops/attention/plan.h"
#include "ops/attention_spec.h"

namespace rehyat::ops {

AttentionKinds built_in_kinds() {
  return {AttentionKind::softmax, AttentionKind::rehyat, AttentionKind::uniform_hybrid, AttentionKind::linear};
}

std::int64_t AttentionKind::window_tokens(const AttentionSpec& spec, const TokenGrid& grid) const {
  std::int64_t most = 0;
  for (const Part& part : plan(spec, grid).parts) most = std::max(most, part.k_count);
  return most;
}

std::vector<AttentionSpec> AttentionKind::examples() const {
  return {{.kind = this}};
}

std::string recurrent_kinds(const AttentionKinds& kinds) {
  std::vector<std::string> names;
  for (const AttentionKind* kind : kinds) {
    if (!kind->recurrent_name().empty()) names.push_back(kind->recurrent_name());
  }
  return join(names, " or ");
}

}  // namespace rehyat::ops
