#include "models/host_waits.h"

namespace rehyat::testing {

RefusedHostWaits::RefusedHostWaits() = default;
RefusedHostWaits::~RefusedHostWaits() = default;

}  // namespace rehyat::testing
