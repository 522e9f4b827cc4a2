#include "core/fixtures.h"

namespace rehyat::testing {

std::filesystem::path fixtures() {
  return REHYAT_TEST_FIXTURES;
}

}  // namespace rehyat::testing
