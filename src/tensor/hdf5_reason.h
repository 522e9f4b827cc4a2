#pragma once

#include <cstdint>
#include <string>

#include "core/system_reason.h"

namespace rehyat {

/// Why the last call of HDF5 failed, to be asked before the next one: the system's reason where there was one ("No
/// space left on device; free some space or choose another folder"), else empty.
std::string hdf5_reason(Access access);

/// A setting for opening and making files (a handle to be closed with H5Pclose) that takes no locks. A file of ours is
/// written under a name of its own and is whole before it gets its final one, so that nothing is there to be locked,
/// and many network file systems know no locks. HDF5_USE_FILE_LOCKING=TRUE in the environment brings them back.
std::int64_t hdf5_access_without_locks();

/// The hint for a lock that failed, such as that its file system has none.
std::string lock_hint(int error);

}  // namespace rehyat
