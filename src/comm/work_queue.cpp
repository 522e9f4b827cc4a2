#include "comm/work_queue.h"

#include "comm/mpi_check.h"
#include "core/log.h"

namespace rehyat::comm {

struct WorkQueue::Window {
  MPI_Win handle = MPI_WIN_NULL;
  std::int64_t* counter = nullptr;
  std::int64_t local = 0;  // for a group of one
};

WorkQueue::WorkQueue(const Communicator& communicator, std::int64_t count)
    : count_(count), window_(std::make_unique<Window>()) {
  if (communicator.size() == 1) return;
  const MPI_Aint bytes = communicator.rank() == 0 ? static_cast<MPI_Aint>(sizeof(std::int64_t)) : 0;
  check_mpi(MPI_Win_allocate(bytes, sizeof(std::int64_t), MPI_INFO_NULL, MPI_Comm_f2c(communicator.mpi_handle()),
                             &window_->counter, &window_->handle),
            "window");
  check_mpi(MPI_Win_set_errhandler(window_->handle, MPI_ERRORS_RETURN), "error handler");
  if (communicator.rank() == 0) {
    check_mpi(MPI_Win_lock(MPI_LOCK_EXCLUSIVE, 0, 0, window_->handle), "lock");
    *window_->counter = 0;
    check_mpi(MPI_Win_unlock(0, window_->handle), "unlock");
  }
  communicator.barrier();
}

WorkQueue::~WorkQueue() {
  if (window_->handle != MPI_WIN_NULL) MPI_Win_free(&window_->handle);
}

std::optional<std::int64_t> WorkQueue::next() {
  std::int64_t job = 0;
  if (window_->handle == MPI_WIN_NULL) {
    job = window_->local++;
  } else {
    const std::int64_t one = 1;
    check_mpi(MPI_Win_lock(MPI_LOCK_SHARED, 0, 0, window_->handle), "lock");
    check_mpi(MPI_Fetch_and_op(&one, &job, MPI_INT64_T, 0, 0, MPI_SUM, window_->handle), "fetch and add");
    check_mpi(MPI_Win_unlock(0, window_->handle), "unlock");
  }
  if (job >= count_) return std::nullopt;
  log::debug("work queue: took job ", job, " of ", count_);
  return job;
}

}  // namespace rehyat::comm
