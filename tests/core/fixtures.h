#pragma once

#include <filesystem>

namespace rehyat::testing {

/// tests/fixtures of this source tree.
std::filesystem::path fixtures();

}  // namespace rehyat::testing
