#pragma once

#include <exception>
#include <string>

namespace rehyat {

/// What an exception says to the user, in one line. Stack traces and advice for programmers, which exceptions of
/// libtorch carry, are left out; a lack of memory is told in words.
std::string message_of(const std::exception& error);

}  // namespace rehyat
