#pragma once

#include <CLI/CLI.hpp>

namespace rehyat::app {

/// For an option or argument that is a path: reads it as a config's paths are read (config/user_path.h).
CLI::Validator user_path_option();

}  // namespace rehyat::app
