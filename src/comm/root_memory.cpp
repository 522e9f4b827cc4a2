#include "comm/root_memory.h"

#include <algorithm>
#include <functional>
#include <type_traits>

#include "comm/mpi_check.h"
#include "core/error.h"
#include "core/strings.h"

namespace rehyat::comm {
namespace {

template <typename T>
MPI_Datatype mpi_type() {
  static_assert(std::is_same_v<T, std::int64_t> || std::is_same_v<T, double>);
  return std::is_same_v<T, double> ? MPI_DOUBLE : MPI_INT64_T;
}

/// Does `call` on rank 0's numbers, alone or beside other ranks; when it returns, the call has had its effect.
template <typename Call>
void access(MPI_Win window, int lock, const char* what, Call&& call) {
  check_mpi(MPI_Win_lock(lock, 0, 0, window), "lock");
  const int result = call();
  const int unlocked = MPI_Win_unlock(0, window);
  check_mpi(result, what);
  check_mpi(unlocked, "unlock");
}

}  // namespace

template <typename T>
struct RootMemory<T>::Window {
  MPI_Win handle = MPI_WIN_NULL;  ///< none in a group of one
  std::vector<T> local;           ///< the numbers of a group of one; elsewhere only their count
};

template <typename T>
RootMemory<T>::RootMemory(const Communicator& communicator, std::size_t count) : window_(std::make_unique<Window>()) {
  window_->local.assign(count, T{0});
  if (communicator.size() == 1) return;
  const auto bytes = communicator.rank() == 0 ? static_cast<MPI_Aint>(count * sizeof(T)) : MPI_Aint{0};
  T* numbers = nullptr;
  check_mpi(MPI_Win_allocate(bytes, sizeof(T), MPI_INFO_NULL, MPI_Comm_f2c(communicator.mpi_handle()), &numbers,
                             &window_->handle),
            "window");
  communicator.keep_window(MPI_Win_c2f(window_->handle));
  check_mpi(MPI_Win_set_errhandler(window_->handle, MPI_ERRORS_RETURN), "error handler");
  if (communicator.rank() == 0) {
    access(window_->handle, MPI_LOCK_EXCLUSIVE, "write", [&] {
      std::fill_n(numbers, count, T{0});
      return MPI_SUCCESS;
    });
  }
  communicator.barrier();
}

template <typename T>
RootMemory<T>::~RootMemory() = default;

template <typename T>
std::size_t RootMemory<T>::count() const {
  return window_->local.size();
}

template <typename T>
void RootMemory<T>::add(const std::vector<T>& values) {
  require(values.size() == count(),
          [&] { return cat("[root_memory] found ", values.size(), " numbers, expected ", count()); });
  if (window_->handle == MPI_WIN_NULL) {
    std::transform(values.begin(), values.end(), window_->local.begin(), window_->local.begin(), std::plus<>());
    return;
  }
  const int n = static_cast<int>(values.size());
  access(window_->handle, MPI_LOCK_SHARED, "add", [&] {
    return MPI_Accumulate(values.data(), n, mpi_type<T>(), 0, 0, n, mpi_type<T>(), MPI_SUM, window_->handle);
  });
}

template <typename T>
std::vector<T> RootMemory<T>::read() const {
  std::vector<T> out = window_->local;
  if (window_->handle == MPI_WIN_NULL) return out;
  const int n = static_cast<int>(out.size());
  const T none = 0;
  // Not MPI_Get, which may see a sum that another rank has half written.
  access(window_->handle, MPI_LOCK_SHARED, "read", [&] {
    return MPI_Get_accumulate(&none, 0, mpi_type<T>(), out.data(), n, mpi_type<T>(), 0, 0, n, mpi_type<T>(), MPI_NO_OP,
                              window_->handle);
  });
  return out;
}

template <typename T>
T RootMemory<T>::fetch_and_add(std::size_t at, T value) {
  require(at < count(), [&] { return cat("[root_memory] found number ", at, ", expected one below ", count()); });
  if (window_->handle == MPI_WIN_NULL) {
    const T before = window_->local[at];
    window_->local[at] += value;
    return before;
  }
  T before = 0;
  access(window_->handle, MPI_LOCK_SHARED, "fetch and add", [&] {
    return MPI_Fetch_and_op(&value, &before, mpi_type<T>(), 0, static_cast<MPI_Aint>(at), MPI_SUM, window_->handle);
  });
  return before;
}

template class RootMemory<std::int64_t>;
template class RootMemory<double>;

}  // namespace rehyat::comm
