#pragma once

#include <string_view>

namespace rehyat {

/// Opens /dev/null in place of each of stdin, stdout and stderr that the program was started without. Otherwise the
/// next file that is opened gets its number, and what is printed lands in that file. Call it before anything is opened.
void hold_standard_streams();

/// Writes a result to stdout, behind what was printed before, and sees that all of it arrived. Throws UserError with
/// the system's reason where it did not (a full disk, a pipe that nobody reads any more).
void print_result(std::string_view text);

}  // namespace rehyat
