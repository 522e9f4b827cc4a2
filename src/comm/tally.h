#pragma once

#include <cstddef>
#include <memory>
#include <vector>

#include "comm/communicator.h"

namespace rehyat::comm {

/// Sums over all ranks that any of them adds to and reads while all are at work: counts for a line of progress.
/// Collective to make and to destroy; `add` and `read` are not. The sums lie on rank 0 and are reached by one-sided
/// MPI, as a WorkQueue's counter is.
class Tally {
 public:
  Tally(const Communicator& communicator, std::size_t count);
  ~Tally();
  Tally(const Tally&) = delete;
  Tally& operator=(const Tally&) = delete;

  /// One number for each sum.
  void add(const std::vector<double>& values);
  /// What all ranks have added so far.
  std::vector<double> read() const;

 private:
  struct Window;
  std::unique_ptr<Window> window_;
};

}  // namespace rehyat::comm
