#pragma once

#include <memory>
#include <optional>
#include <string>

#include "comm/communicator.h"

namespace rehyat::comm {

/// Name and version of the MPI library that is running.
std::string mpi_version();

/// Starts and ends MPI; owned by main. A program that was not started by mpirun is a group of one.
class MpiSession {
 public:
  /// Throws UserError where a launcher started several processes and MPI sees one alone: each would do all the work.
  MpiSession(int& argc, char**& argv);
  ~MpiSession();
  MpiSession(const MpiSession&) = delete;
  MpiSession& operator=(const MpiSession&) = delete;

  Communicator& world() { return *world_; }
  /// For a rank that failed. Waits a moment for the other ranks to fail too, and returns the lowest rank that has a
  /// message for the user, or the world's size where no rank has one. Returns nothing when a rank does not come.
  std::optional<int> agree_on_reporter(bool has_message);
  /// Ends the processes of all ranks with this exit code.
  [[noreturn]] void end_all(int code);

 private:
  std::unique_ptr<Communicator> world_;
  int mine_ = 0, lowest_ = 0;  ///< of `agree_on_reporter`, whose request to MPI may outlive the call
};

}  // namespace rehyat::comm
