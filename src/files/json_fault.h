#pragma once

#include <cstddef>
#include <string>
#include <string_view>

namespace rehyat {

/// What is wrong with a text that is not JSON, and where.
struct JsonFault {
  std::size_t at = 0;  ///< the byte at which the fault begins
  std::string found;   ///< "NaN, which is no number of JSON"
};

/// `read`: how many bytes the parser had read when it gave up; `complaint`: its own words; `ended`: whether a whole
/// value had been read before.
JsonFault find_json_fault(std::string_view text, std::size_t read, std::string_view complaint, bool ended);

/// The place of the quote that begins the string of JSON whose closing quote is at `end`.
std::size_t start_of_string(std::string_view text, std::size_t end);

}  // namespace rehyat
