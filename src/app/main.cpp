#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "app/cli.h"
#include "core/error.h"

// There under AddressSanitizer only; the hard exit below would skip its check.
extern "C" void __lsan_do_leak_check() __attribute__((weak));

int main(int argc, char** argv) {
  int code = rehyat::app::run_program(argc, argv);
  // Everything is written and MPI is closed. libtorch's own clean-up at exit frees memory of another C++ runtime on
  // some systems (seen with its CUDA wheel on Ubuntu 24.04: abort in deregisterOperator), so static destructors are
  // left out.
  std::cout.flush();
  std::cerr.flush();
  std::fflush(nullptr);
  // Warnings may be among what did not arrive, and nothing else is left to tell that by.
  if (code == 0 && (std::ferror(stderr) != 0 || !std::cerr)) code = static_cast<int>(rehyat::ExitCode::failed);
  if (__lsan_do_leak_check != nullptr) __lsan_do_leak_check();
  std::_Exit(code);
}
