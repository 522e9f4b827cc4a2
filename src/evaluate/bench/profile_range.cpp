#include "evaluate/bench/profile_range.h"

#include <dlfcn.h>

namespace rehyat::evaluate {
namespace {

/// Calls a function of CUDA's runtime, where libtorch has brought one: this library is built without CUDA too.
void call_runtime(const char* name) {
  using Function = int (*)();
  if (const auto function = reinterpret_cast<Function>(::dlsym(RTLD_DEFAULT, name))) function();
}

}  // namespace

ProfileRange::ProfileRange() {
  call_runtime("cudaProfilerStart");
}

ProfileRange::~ProfileRange() {
  call_runtime("cudaProfilerStop");
}

}  // namespace rehyat::evaluate
