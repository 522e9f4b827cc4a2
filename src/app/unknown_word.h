#pragma once

#include <CLI/CLI.hpp>
#include <string>

/// Sentences about words of a command line that a parser took for nothing, with the nearest one that it knows.
namespace rehyat::app {

/// About a first word that is no command; empty where there is none.
std::string unknown_command(const CLI::App& program);

/// About an option that neither the command nor the program has; empty where there is none.
std::string unknown_option(const CLI::App& program);

}  // namespace rehyat::app
