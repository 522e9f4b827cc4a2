#include "app/cli.h"

int main(int argc, char** argv) {
  return rehyat::app::run_program(argc, argv);
}
