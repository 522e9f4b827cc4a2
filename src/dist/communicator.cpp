#include "dist/communicator.h"

#include <mpi.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <utility>

#include "core/error.h"
#include "core/strings.h"
#include "dist/nccl_group.h"

namespace rehyat::dist {
namespace {

constexpr std::int64_t kLargestMessage = 1 << 28;  // bytes; MPI counts are ints

MPI_Comm comm_of(int handle) {
  return MPI_Comm_f2c(handle);
}

void check(int result, const char* what) {
  if (result == MPI_SUCCESS) return;
  std::array<char, MPI_MAX_ERROR_STRING> text{};
  int length = 0;
  MPI_Error_string(result, text.data(), &length);
  throw std::runtime_error(cat("MPI ", what, ": ", text.data()));
}

void broadcast_bytes(void* data, std::int64_t bytes, int root, MPI_Comm comm) {
  for (std::int64_t at = 0; at < bytes; at += kLargestMessage) {
    const int count = static_cast<int>(std::min(kLargestMessage, bytes - at));
    check(MPI_Bcast(static_cast<char*>(data) + at, count, MPI_BYTE, root, comm), "broadcast");
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
    check(MPI_Alltoall(send.data_ptr(), bytes, MPI_BYTE, receive.data_ptr(), bytes, MPI_BYTE, comm), "all-to-all");
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

}  // namespace

Communicator::Communicator() = default;

Communicator::Communicator(int mpi_handle, bool owned) : handle_(mpi_handle), owned_(owned) {
  const MPI_Comm comm = comm_of(handle_);
  MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN);
  check(MPI_Comm_rank(comm, &rank_), "rank");
  check(MPI_Comm_size(comm, &size_), "size");
  if (size_ == 1) return;
  MPI_Comm local = MPI_COMM_NULL;
  check(MPI_Comm_split_type(comm, MPI_COMM_TYPE_SHARED, rank_, MPI_INFO_NULL, &local), "split");
  MPI_Comm_rank(local, &local_rank_);
  MPI_Comm_size(local, &local_size_);
  MPI_Comm_free(&local);
}

Communicator::~Communicator() {
  int finalized = 0;
  MPI_Finalized(&finalized);
  if (!owned_ || finalized != 0) return;
  MPI_Comm comm = comm_of(handle_);
  MPI_Comm_free(&comm);
}

Communicator::Communicator(Communicator&& other) noexcept
    : handle_(other.handle_),
      owned_(std::exchange(other.owned_, false)),
      rank_(other.rank_),
      size_(other.size_),
      local_rank_(other.local_rank_),
      local_size_(other.local_size_),
      nccl_(std::move(other.nccl_)) {}

void Communicator::barrier() const {
  if (size_ > 1) check(MPI_Barrier(comm_of(handle_)), "barrier");
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
  int length = static_cast<int>(text.size());
  std::vector<int> lengths(static_cast<std::size_t>(size_)), offsets(static_cast<std::size_t>(size_));
  check(MPI_Allgather(&length, 1, MPI_INT, lengths.data(), 1, MPI_INT, comm_of(handle_)), "all-gather");
  int total = 0;
  for (std::size_t r = 0; r < lengths.size(); ++r) offsets[r] = std::exchange(total, total + lengths[r]);
  std::string joined(static_cast<std::size_t>(total), '\0');
  check(MPI_Allgatherv(text.data(), length, MPI_BYTE, joined.data(), lengths.data(), offsets.data(), MPI_BYTE,
                       comm_of(handle_)),
        "all-gather");
  std::vector<std::string> out;
  for (std::size_t r = 0; r < lengths.size(); ++r)
    out.push_back(joined.substr(static_cast<std::size_t>(offsets[r]), static_cast<std::size_t>(lengths[r])));
  return out;
}

std::vector<double> Communicator::all_gather(double value) const {
  std::vector<double> out(static_cast<std::size_t>(size_), value);
  if (size_ > 1) check(MPI_Allgather(&value, 1, MPI_DOUBLE, out.data(), 1, MPI_DOUBLE, comm_of(handle_)), "all-gather");
  return out;
}

bool Communicator::any(bool yes) const {
  int value = yes ? 1 : 0;
  if (size_ > 1) check(MPI_Allreduce(MPI_IN_PLACE, &value, 1, MPI_INT, MPI_MAX, comm_of(handle_)), "all-reduce");
  return value != 0;
}

Communicator Communicator::split(int color) const {
  if (size_ == 1) return Communicator();
  MPI_Comm part = MPI_COMM_NULL;
  check(MPI_Comm_split(comm_of(handle_), color, rank_, &part), "split");
  return Communicator(MPI_Comm_c2f(part), true);
}

void Communicator::together(const std::function<void()>& work) const {
  std::exception_ptr mine;
  std::string message;  // its first letter is the kind, so that all ranks end with the same exit code
  try {
    work();
  } catch (const Stopped& error) {
    mine = std::current_exception();
    message = cat('s', error.what());
  } catch (const UsageError& error) {
    mine = std::current_exception();
    message = cat('u', error.what());
  } catch (const std::exception& error) {
    mine = std::current_exception();
    message = cat('f', *error.what() != 0 ? error.what() : "an error without a message");
  } catch (...) {
    mine = std::current_exception();
    message = "fan error of an unknown kind";
  }
  if (size_ == 1) {
    if (mine) std::rethrow_exception(mine);
    return;
  }
  if (!any(mine != nullptr)) return;
  const std::vector<std::string> messages = all_gather(message);
  if (mine) std::rethrow_exception(mine);
  for (std::size_t r = 0; r < messages.size(); ++r) {
    if (messages[r].empty()) continue;
    const std::string text = messages[r].substr(1);
    if (messages[r].front() == 's') throw Stopped(text);
    const std::string sentence = cat("rank ", r, " failed: ", text);
    if (messages[r].front() == 'u') throw UsageError(sentence);
    throw UserError(sentence);
  }
}

}  // namespace rehyat::dist
