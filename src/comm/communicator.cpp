#include "comm/communicator.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <numeric>
#include <utility>

#include "comm/mpi_check.h"
#include "comm/nccl_group.h"
#include "core/error.h"
#include "core/log.h"
#include "core/strings.h"
#include "tensor/error_text.h"

namespace rehyat::comm {
namespace {

constexpr std::int64_t kLargestMessage = 1 << 28;  // bytes; MPI counts are ints
constexpr std::int64_t kLargestGather = 1 << 24;   // bytes in one call; more is broadcast rank by rank, in parts

MPI_Comm comm_of(int handle) {
  return MPI_Comm_f2c(handle);
}

void broadcast_bytes(void* data, std::int64_t bytes, int root, MPI_Comm comm) {
  for (std::int64_t at = 0; at < bytes; at += kLargestMessage) {
    const int count = static_cast<int>(std::min(kLargestMessage, bytes - at));
    check_mpi(MPI_Bcast(static_cast<char*>(data) + at, count, MPI_BYTE, root, comm), "broadcast");
  }
}

/// Sum over ranks in rank order: every rank adds up its own share of the values and shares the result.
void ordered_sum(at::Tensor& flat, int rank, int size, MPI_Comm comm) {
  const std::int64_t element = static_cast<std::int64_t>(flat.element_size());
  const std::int64_t share = (flat.numel() + size - 1) / size;
  at::Tensor padded = at::zeros({share * size}, flat.options());
  padded.narrow(0, 0, flat.numel()).copy_(flat);
  at::Tensor parts = at::empty({size, share}, flat.options());
  const std::int64_t step = std::max<std::int64_t>(kLargestMessage / size / element, 1);
  for (std::int64_t at = 0; at < share; at += step) {
    const std::int64_t count = std::min(step, share - at);
    at::Tensor send = padded.view({size, share}).narrow(1, at, count).contiguous();
    at::Tensor receive = at::empty({size, count}, flat.options());
    const int bytes = static_cast<int>(count * element);
    check_mpi(MPI_Alltoall(send.data_ptr(), bytes, MPI_BYTE, receive.data_ptr(), bytes, MPI_BYTE, comm), "all-to-all");
    parts.narrow(1, at, count).copy_(receive);
  }
  at::Tensor sum = parts[0].clone();
  for (int r = 1; r < size; ++r) sum += parts[r];
  padded.view({size, share})[rank].copy_(sum);
  for (int root = 0; root < size; ++root) {
    at::Tensor row = padded.view({size, share})[root];
    broadcast_bytes(row.data_ptr(), share * element, root, comm);
  }
  flat.copy_(padded.narrow(0, 0, flat.numel()));
}

constexpr int kAlarmTag = 7;

/// Thrown by `poll` once another rank has failed; `all_or_none` catches it and learns the error from that rank.
class AnotherRankFailed : public std::exception {
 public:
  const char* what() const noexcept override { return "another rank failed"; }
};

/// The error of another rank, on a rank that need not report it.
template <typename Error>
class ErrorOfAnotherRank : public Error, public ReportedByAnotherRank {
 public:
  using Error::Error;
};

/// What `all_or_none` tells the other ranks of one rank's outcome: the kind of its error and the message.
enum class Outcome : char { done = 'd', interrupted = 'i', stopped = 's', usage = 'u', failed = 'f' };

std::string outcome_of(const std::exception_ptr& error) {
  const auto text = [](Outcome kind, const std::string& message) { return static_cast<char>(kind) + message; };
  if (!error) return text(Outcome::done, "");
  try {
    std::rethrow_exception(error);
  } catch (const AnotherRankFailed&) {
    return text(Outcome::interrupted, "");
  } catch (const ReportedByAnotherRank&) {  // of a `all_or_none` inside of this one: the error is that rank's
    return text(Outcome::interrupted, "");
  } catch (const Stopped& e) {
    return text(Outcome::stopped, e.what());
  } catch (const UsageError& e) {
    return text(Outcome::usage, e.what());
  } catch (const std::exception& e) {
    return text(Outcome::failed, message_of(e));
  } catch (...) {
    return text(Outcome::failed, "an error of an unknown kind");
  }
}

}  // namespace

void check_mpi(int result, const char* what) {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  throw std::runtime_error(cat("MPI ", what, ": ", text.data()));
}

Communicator::Communicator() = default;

Communicator::Communicator(int mpi_handle) : handle_(mpi_handle) {
  const MPI_Comm comm = comm_of(handle_);
  check_mpi(MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN), "error handler");
  check_mpi(MPI_Comm_rank(comm, &rank_), "rank");
  check_mpi(MPI_Comm_size(comm, &size_), "size");
  if (size_ == 1) return;
  MPI_Comm local = MPI_COMM_NULL;
  check_mpi(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local), "split");
  check_mpi(MPI_Comm_rank(local, &local_rank_), "rank");
  check_mpi(MPI_Comm_size(local, &local_size_), "size");
  check_mpi(MPI_Comm_free(&local), "free");
}

Communicator::~Communicator() = default;

void Communicator::keep_window(int handle) const {
  windows_.push_back(handle);
}

void Communicator::free_windows() {
  // A rank that failed may have made fewer than the others; MPI takes them back when it ends.
  for (const double count : all_gather(static_cast<double>(windows_.size()))) {
    if (count != static_cast<double>(windows_.size())) return windows_.clear();
  }
  for (const int handle : windows_) {
    MPI_Win window = MPI_Win_f2c(handle);
    check_mpi(MPI_Win_free(&window), "free");
  }
  windows_.clear();
}

void Communicator::barrier() const {
  if (size_ > 1) check_mpi(MPI_Barrier(comm_of(handle_)), "barrier");
}

void Communicator::check_same(const at::Tensor& tensor, const char* what) const {
  // Whatever differs is exchanged before anybody throws: a rank that left early would keep the others waiting.
  const std::string mine = cat(at::toString(tensor.scalar_type()), ' ', shape_string(tensor.sizes().vec()), " on ",
                               tensor.is_cuda() ? "GPU" : "CPU", tensor.is_contiguous() ? "" : ", not contiguous");
  const std::vector<std::string> all = all_gather(mine);
  for (int r = 0; r < size_; ++r) {
    require(all[static_cast<std::size_t>(r)] == all[0], [&] {
      return cat("[", what, "] rank ", r, ": found ", all[static_cast<std::size_t>(r)], ", expected ", all[0],
                 " as on rank 0");
    });
  }
  require(tensor.is_contiguous(),
          [&] { return cat("[", what, "] found a tensor that is not contiguous, expected a contiguous one"); });
}

NcclGroup& Communicator::nccl(at::Device device) const {
  if (!nccl_) nccl_ = std::make_unique<NcclGroup>(*this, device);
  return *nccl_;
}

void Communicator::broadcast(at::Tensor& tensor, int root) const {
  if (size_ == 1) return;
  check_same(tensor, "broadcast");
  if (tensor.is_cuda()) {
    nccl(tensor.device()).broadcast(tensor, root);
    return;
  }
  broadcast_bytes(tensor.data_ptr(), static_cast<std::int64_t>(tensor.nbytes()), root, comm_of(handle_));
}

void Communicator::all_reduce_sum(at::Tensor& tensor) const {
  if (size_ == 1) return;
  check_same(tensor, "all_reduce_sum");
  if (tensor.is_cuda()) {
    nccl(tensor.device()).all_reduce_sum(tensor);
    return;
  }
  const bool narrow = tensor.scalar_type() == at::kHalf || tensor.scalar_type() == at::kBFloat16;
  at::Tensor flat = narrow ? tensor.to(at::kFloat).view({-1}) : tensor.view({-1});
  if (flat.numel() > 0) ordered_sum(flat, rank_, size_, comm_of(handle_));
  if (narrow) tensor.copy_(flat.view_as(tensor));
}

std::string Communicator::broadcast(const std::string& text, int root) const {
  if (size_ == 1) return text;
  std::int64_t length = static_cast<std::int64_t>(text.size());
  broadcast_bytes(&length, sizeof length, root, comm_of(handle_));
  std::string out = rank_ == root ? text : std::string(static_cast<std::size_t>(length), '\0');
  broadcast_bytes(out.data(), length, root, comm_of(handle_));
  return out;
}

std::vector<std::string> Communicator::all_gather(const std::string& text) const {
  if (size_ == 1) return {text};
  const std::int64_t length = static_cast<std::int64_t>(text.size());
  std::vector<std::int64_t> lengths(static_cast<std::size_t>(size_));
  check_mpi(MPI_Allgather(&length, 1, MPI_INT64_T, lengths.data(), 1, MPI_INT64_T, comm_of(handle_)), "all-gather");
  std::vector<std::string> out;
  for (const std::int64_t bytes : lengths) out.emplace_back(static_cast<std::size_t>(bytes), '\0');
  out[static_cast<std::size_t>(rank_)] = text;
  const std::int64_t total = std::accumulate(lengths.begin(), lengths.end(), std::int64_t{0});
  if (total > kLargestGather) {
    for (int root = 0; root < size_; ++root) {
      std::string& part = out[static_cast<std::size_t>(root)];
      broadcast_bytes(part.data(), static_cast<std::int64_t>(part.size()), root, comm_of(handle_));
    }
    return out;
  }
  std::vector<int> counts(lengths.begin(), lengths.end()), offsets(lengths.size());
  std::exclusive_scan(counts.begin(), counts.end(), offsets.begin(), 0);
  std::string joined(static_cast<std::size_t>(total), '\0');
  check_mpi(MPI_Allgatherv(text.data(), static_cast<int>(length), MPI_BYTE, joined.data(), counts.data(),
                           offsets.data(), MPI_BYTE, comm_of(handle_)),
            "all-gather");
  for (std::size_t r = 0; r < out.size(); ++r)
    out[r] = joined.substr(static_cast<std::size_t>(offsets[r]), static_cast<std::size_t>(counts[r]));
  return out;
}

std::vector<double> Communicator::all_gather(double value) const {
  std::vector<double> out(static_cast<std::size_t>(size_), value);
  if (size_ > 1)
    check_mpi(MPI_Allgather(&value, 1, MPI_DOUBLE, out.data(), 1, MPI_DOUBLE, comm_of(handle_)), "all-gather");
  return out;
}

bool Communicator::any(bool yes) const {
  int value = yes ? 1 : 0;
  if (size_ > 1) check_mpi(MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT, MPI_MAX, comm_of(handle_)), "all-reduce");
  return value != 0;
}

void Communicator::poll() const {
  if (size_ == 1) return;
  int alarm = 0;
  check_mpi(MPI_Iprobe(MPI_ANY_SOURCE, kAlarmTag, comm_of(handle_), &alarm, MPI_STATUS_IGNORE), "probe");
  if (alarm != 0) throw AnotherRankFailed();
}

void Communicator::send_alarm() const {
  for (int r = 0; r < size_; ++r) {
    if (r == rank_) continue;
    MPI_Request request = MPI_REQUEST_NULL;  // of no bytes: MPI buffers it
    check_mpi(MPI_Isend(nullptr, 0, MPI_BYTE, r, kAlarmTag, comm_of(handle_), &request), "send");
    check_mpi(MPI_Request_free(&request), "send");
  }
}

void Communicator::receive_alarms(const std::vector<std::string>& outcomes) const {
  for (int r = 0; r < size_; ++r) {
    const auto kind = static_cast<Outcome>(outcomes[static_cast<std::size_t>(r)].front());
    if (r == rank_ || kind == Outcome::done || kind == Outcome::interrupted) continue;
    check_mpi(MPI_Recv(nullptr, 0, MPI_BYTE, r, kAlarmTag, comm_of(handle_), MPI_STATUS_IGNORE), "receive");
  }
}

void Communicator::all_or_none(const std::function<void()>& work, Length length) const {
  std::exception_ptr mine;
  try {
    work();
  } catch (...) {
    mine = std::current_exception();
  }
  if (size_ == 1) {
    if (mine) std::rethrow_exception(mine);
    return;
  }
  const std::string outcome = outcome_of(mine);
  const bool own = mine && outcome.front() != static_cast<char>(Outcome::interrupted);
  if (own && length == Length::lengthy) {
    if (outcome.front() != static_cast<char>(Outcome::stopped))
      log::error(outcome.substr(1), "; the other ranks are asked to stop");
    send_alarm();
  }
  if (!any(mine != nullptr)) return;
  const std::vector<std::string> outcomes = all_gather(outcome);
  if (length == Length::lengthy) receive_alarms(outcomes);
  // What failed counts more than what only stopped; of equals the lowest rank.
  int first = -1;
  for (const bool stopped : {false, true}) {
    for (int r = 0; r < size_ && first < 0; ++r) {
      const auto kind = static_cast<Outcome>(outcomes[static_cast<std::size_t>(r)].front());
      if (stopped ? kind == Outcome::stopped : kind == Outcome::usage || kind == Outcome::failed) first = r;
    }
  }
  if (first == rank_) std::rethrow_exception(mine);
  if (first < 0) throw std::logic_error("[all_or_none] found an interruption without a cause");
  const std::string& told = outcomes[static_cast<std::size_t>(first)];
  const std::string sentence = cat("rank ", first, " failed: ", told.substr(1));
  if (told.front() == static_cast<char>(Outcome::stopped)) throw ErrorOfAnotherRank<Stopped>(told.substr(1));
  if (told.front() == static_cast<char>(Outcome::usage)) throw ErrorOfAnotherRank<UsageError>(sentence);
  throw ErrorOfAnotherRank<UserError>(sentence);
}

}  // namespace rehyat::comm
