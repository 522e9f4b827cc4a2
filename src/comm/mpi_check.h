#pragma once

#include <mpi.h>

namespace rehyat::comm {

/// Throws std::runtime_error with MPI's own words unless a call went well; `what` names it.
void check_mpi(int result, const char* what);

}  // namespace rehyat::comm
