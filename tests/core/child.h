#pragma once

#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <exception>

#include "core/error.h"

namespace rehyat::testing {

/// Does `work` in a process of its own, which ends with 0, with 75 after a stop, or with 1 after an error.
template <typename Work>
pid_t start_child(const Work& work) {
  const pid_t child = ::fork();
  if (child != 0) return child;
  int code = 0;
  try {
    work();
  } catch (const Stopped&) {
    code = 75;
  } catch (const std::exception& error) {
    std::fprintf(stderr, "%s\n", error.what());
    code = 1;
  }
  ::_exit(code);
}

/// The exit code, or minus the signal that ended the process.
inline int wait_for(pid_t child) {
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

}  // namespace rehyat::testing
