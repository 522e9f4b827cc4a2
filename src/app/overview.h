#pragma once

#include <CLI/CLI.hpp>
#include <string>

namespace rehyat::app {

/// What somebody who has just got the program does first.
std::string first_steps();

/// What the program says where it is called without a word: its commands, and the first steps.
std::string overview(const CLI::App& program);

}  // namespace rehyat::app
