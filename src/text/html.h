#pragma once

#include <string>
#include <string_view>

namespace rehyat::text {

/// HTML 5's rules for character references, messy ones included, as Python's html.unescape.
std::u32string unescape_html(std::u32string_view text);

/// Only what is surely meant as a reference: names and numbers that end in a semicolon, and names in capitals such as
/// &EACUTE;. As ftfy's unescape_html.
std::u32string unescape_sure_html(std::u32string_view text);

}  // namespace rehyat::text
