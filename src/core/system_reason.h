#pragma once

#include <string>

namespace rehyat {

/// What a program wants of a file; the same refusal of the system is mended in different ways.
enum class Access { read, write };

/// The system's own words for an error number, and how to mend it where that is known: "No space left on device; free
/// some space or choose another folder". A number that the C library does not know is told as it is.
std::string system_reason(int error, Access access);

/// Whether the error number means that a file system has no locks: ENOLCK, ENOSYS, EOPNOTSUPP, and 524, which is the
/// kernel's own ENOTSUPP and reaches programs from some network file systems.
bool means_no_locks(int error);

}  // namespace rehyat
