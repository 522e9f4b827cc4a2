#include "comm/tally.h"

#include <algorithm>

#include "comm/mpi_check.h"
#include "core/error.h"
#include "core/strings.h"

namespace rehyat::comm {

struct Tally::Window {
  MPI_Win handle = MPI_WIN_NULL;
  double* shared = nullptr;   // on rank 0
  std::vector<double> local;  // for a group of one
};

Tally::Tally(const Communicator& communicator, std::size_t count) : window_(std::make_unique<Window>()) {
  window_->local.assign(count, 0.0);
  if (communicator.size() == 1) return;
  const auto bytes = communicator.rank() == 0 ? static_cast<MPI_Aint>(count * sizeof(double)) : MPI_Aint{0};
  check_mpi(MPI_Win_allocate(bytes, sizeof(double), MPI_INFO_NULL, MPI_Comm_f2c(communicator.mpi_handle()),
                             &window_->shared, &window_->handle),
            "window");
  check_mpi(MPI_Win_set_errhandler(window_->handle, MPI_ERRORS_RETURN), "error handler");
  if (communicator.rank() == 0) {
    check_mpi(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, window_->handle), "lock");
    std::fill_n(window_->shared, count, 0.0);
    check_mpi(MPI_Win_unlock(0, window_->handle), "unlock");
  }
  communicator.barrier();
}

Tally::~Tally() {
  if (window_->handle != MPI_WIN_NULL) MPI_Win_free(&window_->handle);
}

void Tally::add(const std::vector<double>& values) {
  require(values.size() == window_->local.size(),
          [&] { return cat("[tally] found ", values.size(), " numbers, expected ", window_->local.size()); });
  if (window_->handle == MPI_WIN_NULL) {
    std::transform(values.begin(), values.end(), window_->local.begin(), window_->local.begin(), std::plus<>());
    return;
  }
  const int count = static_cast<int>(values.size());
  check_mpi(MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window_->handle), "lock");
  check_mpi(MPI_Accumulate(values.data(), count, MPI_DOUBLE, 0, 0, count, MPI_DOUBLE, MPI_SUM, window_->handle), "add");
  check_mpi(MPI_Win_unlock(0, window_->handle), "unlock");
}

std::vector<double> Tally::read() const {
  std::vector<double> out = window_->local;
  if (window_->handle == MPI_WIN_NULL) return out;
  const int count = static_cast<int>(out.size());
  // Not MPI_Get, which may see a sum that another rank has half written.
  const double none = 0;
  check_mpi(MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window_->handle), "lock");
  check_mpi(MPI_Get_accumulate(&none, 0, MPI_DOUBLE, out.data(), count, MPI_DOUBLE, 0, 0, count, MPI_DOUBLE, MPI_NO_OP,
                               window_->handle),
            "read");
  check_mpi(MPI_Win_unlock(0, window_->handle), "unlock");
  return out;
}

}  // namespace rehyat::comm
