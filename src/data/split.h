#pragma once

namespace rehyat::data {

enum class Split { train, validation };

}  // namespace rehyat::data
