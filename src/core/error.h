#pragma once

#include <stdexcept>
#include <string>
#include <string_view>

namespace rehyat {

/// Exit codes of the program.
enum class ExitCode : int { done = 0, failed = 1, usage = 2, stopped = 75 };

/// The parts of a sentence about a user's mistake. Empty parts are left out.
struct Mistake {
  std::string where;     ///< file, file:line:column, tensor, rank or option
  std::string found;     ///< what was found
  std::string expected;  ///< what was expected
  std::string hint;      ///< how to mend it
};

/// "where: found X, expected Y; hint".
std::string to_sentence(const Mistake& mistake);

/// A user's mistake, told in one sentence; the program ends with exit code 1. Names and texts of damaged files get
/// into it: what no terminal should be sent is written as \xNN, and of more than 4000 bytes the middle is left out.
class UserError : public std::invalid_argument {
 public:
  explicit UserError(const Mistake& mistake) : UserError(to_sentence(mistake)) {}
  explicit UserError(const std::string& sentence);
};

/// A mistake on the command line or in a config file; the program ends with exit code 2.
class UsageError : public UserError {
 public:
  using UserError::UserError;
};

/// The run was asked to stop and can be resumed; the program ends with exit code 75.
class Stopped : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// Throws UserError with `sentence()` unless `condition` holds. The sentence is only built when it is needed.
template <typename Sentence>
void require(bool condition, Sentence&& sentence) {
  if (!condition) throw UserError(sentence());
}

}  // namespace rehyat
