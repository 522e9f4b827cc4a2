#pragma once

#include <string_view>

namespace rehyat::report {

/// The page's style sheet, for light and dark, screens of every width and paper.
std::string_view style_sheet();

}  // namespace rehyat::report
