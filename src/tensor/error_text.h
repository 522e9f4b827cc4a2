#pragma once

#include <exception>
#include <string>

namespace rehyat {

/// What an exception says to the user, in one line: of libtorch's without the stack trace and the advice for
/// programmers, of a lack of memory in words.
std::string message_of(const std::exception& error);

}  // namespace rehyat
