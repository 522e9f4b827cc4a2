#pragma once

#include <mutex>

namespace rehyat {

/// The HDF5 library has one state for the whole process, and as Debian builds it two threads must not be in it at once,
/// not even for different files. Whoever calls it holds this lock; a thread that has it may take it again.
std::unique_lock<std::recursive_mutex> lock_hdf5();

}  // namespace rehyat
