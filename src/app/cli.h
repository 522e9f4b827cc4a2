#pragma once

namespace rehyat::app {

/// Parses the command line, runs one command and returns the exit code. Called once, by main.
int run_program(int argc, char** argv);

}  // namespace rehyat::app
