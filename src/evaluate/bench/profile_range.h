#pragma once

namespace rehyat::evaluate {

/// While one lives, a profiler of CUDA programs that was told to wait for the program looks on: `ncu
/// --profile-from-start off`, `nsys profile -c cudaProfilerApi`. Without CUDA it is nothing.
class ProfileRange {
 public:
  ProfileRange();
  ~ProfileRange();
  ProfileRange(const ProfileRange&) = delete;
  ProfileRange& operator=(const ProfileRange&) = delete;
};

}  // namespace rehyat::evaluate
