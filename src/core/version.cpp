#include "core/version.h"

#include "revision.h"

namespace rehyat {

std::string version() {
  return REHYAT_VERSION;
}

}  // namespace rehyat
