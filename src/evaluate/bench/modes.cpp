#include "core/error.h"
#include "core/strings.h"
#include "evaluate/bench/mode.h"

namespace rehyat::evaluate {

void require_rows(const BenchRequest& request, const BenchResult& result) {
  require(!result.rows.empty(), [&] {
    return cat("[bench] --row: found no row whose name holds \"", request.row,
               "\", expected one; without --row all are ", "measured and named");
  });
}

std::vector<BenchMode> bench_modes() {
  return {
      forward_bench(), step_bench(), attention_bench(), phi_bench(), distill_bench(), recurrent_bench(), cache_bench(),
  };
}

}  // namespace rehyat::evaluate
