#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "comm/communicator.h"

namespace rehyat::comm {

/// Numbers on rank 0 that every rank changes and reads by one-sided MPI, while all are at work. T: std::int64_t or
/// double; all numbers start at 0. Making it is collective; everything else is not, the destructor included: it leaves
/// MPI's window to the communicator, which frees it when the session ends. So a rank that fails while it holds one
/// reports its failure at once and does not wait for the others. Some networks serve the numbers only inside of MPI's
/// calls, so that rank 0 must call `poll` of the communicator at its steps.
template <typename T>
class RootMemory {
 public:
  RootMemory(const Communicator& communicator, std::size_t count);
  ~RootMemory();
  RootMemory(const RootMemory&) = delete;
  RootMemory& operator=(const RootMemory&) = delete;

  std::size_t count() const;
  /// Adds one value to each number.
  void add(const std::vector<T>& values);
  std::vector<T> read() const;
  /// Adds to number `at` and returns what it was before; no other rank's change comes in between.
  T fetch_and_add(std::size_t at, T value);

 private:
  struct Window;
  std::unique_ptr<Window> window_;
};

extern template class RootMemory<std::int64_t>;
extern template class RootMemory<double>;

}  // namespace rehyat::comm
