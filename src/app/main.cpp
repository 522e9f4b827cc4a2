#include <cstdio>
#include <cstdlib>
#include <iostream>

#include "app/cli.h"

int main(int argc, char** argv) {
  const int code = rehyat::app::run_program(argc, argv);
  // Everything is written and MPI is closed. libtorch's own clean-up at exit frees memory of another C++ runtime on
  // some systems (seen with its CUDA wheel on Ubuntu 24.04: abort in deregisterOperator), so static destructors are
  // left out.
  std::cout.flush();
  std::cerr.flush();
  std::fflush(nullptr);
  std::_Exit(code);
}
