#include "evaluate/bench/mode.h"

namespace rehyat::evaluate {

std::vector<BenchMode> bench_modes() {
  return {
      forward_bench(), step_bench(), attention_bench(), phi_bench(), distill_bench(), recurrent_bench(), cache_bench(),
  };
}

}  // namespace rehyat::evaluate
