#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace rehyat::comm {

class NcclGroup;

/// Marks an exception whose error another rank reports, so that this rank ends without a message.
class ReportedByAnotherRank {
 public:
  virtual ~ReportedByAnotherRank() = default;
};

/// The ranks that work on one thing. Every member function that moves data is collective: all ranks call it in the same
/// order. A group of one rank is an ordinary case and sends nothing. CPU tensors go through MPI, GPU tensors through
/// NCCL.
class Communicator {
 public:
  /// A group of this process alone.
  Communicator();
  /// The ranks of an MPI communicator, which outlives this object, by its Fortran handle, so that this header needs no
  /// mpi.h. Made by MpiSession.
  explicit Communicator(int mpi_handle);
  ~Communicator();
  Communicator(const Communicator&) = delete;
  Communicator& operator=(const Communicator&) = delete;

  int rank() const { return rank_; }
  int size() const { return size_; }
  /// Rank among the processes of this machine, and how many there are: which GPU and how many threads to take.
  int local_rank() const { return local_rank_; }
  int local_size() const { return local_size_; }

  void barrier() const;
  /// Fills the tensor with that of `root`. It must be contiguous and of the same shape and dtype on every rank
  /// (checked).
  void broadcast(at::Tensor& tensor, int root) const;
  /// Replaces the tensor by the sum over the ranks. CPU tensors are added in the order of the ranks, so that the result
  /// does not depend on the algorithm, and half types in float32.
  void all_reduce_sum(at::Tensor& tensor) const;
  std::string broadcast(const std::string& text, int root) const;
  /// The texts of all ranks, in their order, on every rank; of any length.
  std::vector<std::string> all_gather(const std::string& text) const;
  std::vector<double> all_gather(double value) const;
  /// Whether any rank passes true.
  bool any(bool yes) const;

  enum class Length { brief, lengthy };
  /// Runs `work` on every rank. Where it throws on one, it throws on all, so that no rank waits for one that failed:
  /// the failing rank of lowest number throws its own error, and every other rank an error of the same kind (UserError,
  /// UsageError, Stopped) that names that rank and its message and is a ReportedByAnotherRank. In lengthy work a
  /// failing rank says so in its log at once, and the others stop at their next `poll`.
  void all_or_none(const std::function<void()>& work, Length length = Length::brief) const;
  /// Lengthy work calls it at each step. It lets MPI serve the other ranks (a work queue's counter), and once another
  /// rank has failed it throws what `all_or_none` catches. Not collective.
  void poll() const;

  int mpi_handle() const { return handle_; }
  /// Takes over an MPI window by its Fortran handle, until `free_windows`. Not collective.
  void keep_window(int handle) const;
  /// Frees the windows that it keeps; where ranks keep different numbers of them, leaves them to the end of MPI.
  /// Collective.
  void free_windows();

 private:
  void send_alarm() const;
  void receive_alarms(const std::vector<std::string>& outcomes) const;
  void check_same(const at::Tensor& tensor, const char* what) const;
  NcclGroup& nccl(at::Device device) const;

  int handle_ = 0;
  int rank_ = 0, size_ = 1, local_rank_ = 0, local_size_ = 1;
  mutable std::unique_ptr<NcclGroup> nccl_;
  mutable std::vector<int> windows_;
};

}  // namespace rehyat::comm
