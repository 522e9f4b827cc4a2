#pragma once

#include <string>

namespace rehyat {

/// "0.1.0+1a2b3c4d5e": the version and the commit of the build; "-dirty" at its end where files had been changed.
std::string version();

}  // namespace rehyat
