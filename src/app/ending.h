#pragma once

#include <exception>
#include <functional>
#include <string>

#include "comm/session.h"

namespace rehyat::app {

/// How a command ended.
struct Ending {
  int code = 0;
  std::string message;
  bool has_message = true;  ///< false where another rank reports it
};

/// Runs the work; what it throws becomes an exit code and a sentence.
Ending ending_of(const std::function<void()>& work, const comm::Communicator& world);

/// Reports the error once, on the lowest rank that knows it, and leaves no rank waiting for one that failed. Returns
/// the exit code.
int end_session(const Ending& ending, comm::MpiSession& session);

}  // namespace rehyat::app
