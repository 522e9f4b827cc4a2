#pragma once

namespace rehyat::testing {

/// While it lives, whatever would make the CPU wait for a GPU throws. Nothing where libtorch knows no GPU.
class RefusedHostWaits {
 public:
  RefusedHostWaits();
  ~RefusedHostWaits();
  RefusedHostWaits(const RefusedHostWaits&) = delete;
  RefusedHostWaits& operator=(const RefusedHostWaits&) = delete;
};

}  // namespace rehyat::testing
