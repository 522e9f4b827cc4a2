#include "models/host_waits.h"

#include <c10/cuda/CUDAFunctions.h>

namespace rehyat::testing {

RefusedHostWaits::RefusedHostWaits() {
  c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_ERROR);
}
RefusedHostWaits::~RefusedHostWaits() {
  c10::cuda::warning_state().set_sync_debug_mode(c10::cuda::SyncDebugMode::L_DISABLED);
}

}  // namespace rehyat::testing
