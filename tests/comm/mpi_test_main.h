#pragma once

#include "comm/communicator.h"

namespace rehyat::testing {

/// All ranks of the test program; the program's main owns it.
const comm::Communicator& world();

}  // namespace rehyat::testing
