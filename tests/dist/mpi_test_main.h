#pragma once

#include "dist/communicator.h"

namespace rehyat::testing {

/// All ranks of the test program; the program's main owns it.
const dist::Communicator& world();

}  // namespace rehyat::testing
