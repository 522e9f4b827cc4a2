#include "comm/exchange.h"

#include <algorithm>

#include "comm/mpi_check.h"
#include "core/error.h"
#include "core/strings.h"

namespace rehyat::comm {
namespace {

constexpr int kExchangeTag = 8;
constexpr std::int64_t kLargestPart = 1 << 28;  // bytes; MPI counts are ints

/// What the ranks have to agree on, in words.
std::string plan_of(const std::vector<Route>& routes, const at::Tensor& like) {
  std::uint64_t sum = 0;  // of the routes, in their order
  for (const Route& route : routes)
    sum = sum * 1'000'003 + static_cast<std::uint64_t>(route.from) * 65'537 + static_cast<std::uint64_t>(route.to);
  return cat(routes.size(), " routes (", sum, ") of tensors ", at::toString(like.scalar_type()), ' ',
             shape_string(like.sizes().vec()));
}

/// The end of the group of routes that begins at `begin`.
std::size_t group_end(const std::vector<Route>& routes, std::size_t begin, std::int64_t bytes_each,
                      std::int64_t bytes_at_once, int ranks) {
  std::vector<std::int64_t> held(static_cast<std::size_t>(ranks), 0);
  std::size_t end = begin;
  for (; end < routes.size(); ++end) {
    const auto [from, to] = routes[end];
    if (from == to) continue;
    for (const int rank : {from, to}) held[static_cast<std::size_t>(rank)] += bytes_each;
    if (end > begin && *std::max_element(held.begin(), held.end()) > bytes_at_once) break;
  }
  return end;
}

/// Messages of one tensor, in parts that MPI can count.
class Messages {
 public:
  explicit Messages(const Communicator& world) : world_(world) {}

  void send(const at::Tensor& tensor, int to) {
    for_each_part(tensor, [&](char* data, int bytes, MPI_Request* request) {
      check_mpi(MPI_Isend(data, bytes, MPI_BYTE, to, kExchangeTag, comm(), request), "send");
    });
  }
  void receive(const at::Tensor& tensor, int from) {
    for_each_part(tensor, [&](char* data, int bytes, MPI_Request* request) {
      check_mpi(MPI_Irecv(data, bytes, MPI_BYTE, from, kExchangeTag, comm(), request), "receive");
    });
  }
  void wait() {
    if (open_.empty()) return;
    check_mpi(MPI_Waitall(static_cast<int>(open_.size()), open_.data(), MPI_STATUSES_IGNORE), "wait");
    open_.clear();
  }

 private:
  template <typename Start>
  void for_each_part(const at::Tensor& tensor, Start&& start) {
    auto* data = static_cast<char*>(tensor.data_ptr());
    const auto bytes = static_cast<std::int64_t>(tensor.nbytes());
    for (std::int64_t at = 0; at < bytes; at += kLargestPart) {
      MPI_Request request = MPI_REQUEST_NULL;
      start(data + at, static_cast<int>(std::min(kLargestPart, bytes - at)), &request);
      open_.push_back(request);
    }
  }

  /// Called only where there is a message: a group of one sends none and may live without MPI.
  MPI_Comm comm() const { return MPI_Comm_f2c(world_.mpi_handle()); }

  const Communicator& world_;
  std::vector<MPI_Request> open_;
};

/// Tensor i as its owner gives it.
at::Tensor given(const Cargo& cargo, std::size_t i) {
  at::Tensor tensor = cargo.give(i);
  require(tensor.is_cpu() && tensor.is_contiguous() && tensor.sizes() == cargo.like.sizes() &&
              tensor.scalar_type() == cargo.like.scalar_type(),
          [&] {
            return cat("[exchange] tensor ", i, ": found ", at::toString(tensor.scalar_type()), ' ',
                       shape_string(tensor.sizes().vec()), ", expected ", at::toString(cargo.like.scalar_type()), ' ',
                       shape_string(cargo.like.sizes().vec()), ", contiguous on the CPU");
          });
  return tensor;
}

}  // namespace

std::int64_t exchange(const std::vector<Route>& routes, const Cargo& cargo, const Communicator& world,
                      std::int64_t bytes_at_once) {
  const std::string plan = plan_of(routes, cargo.like);
  const std::vector<std::string> plans = world.all_gather(plan);
  for (std::size_t r = 0; r < plans.size(); ++r) {
    require(plans[r] == plans[0],
            [&] { return cat("[exchange] rank ", r, ": found ", plans[r], ", expected ", plans[0], " as on rank 0"); });
  }
  const auto bytes = static_cast<std::int64_t>(cargo.like.nbytes());
  std::int64_t received = 0;
  Messages messages(world);
  for (std::size_t begin = 0, end = 0; begin < routes.size(); begin = end) {
    end = group_end(routes, begin, bytes, bytes_at_once, world.size());
    std::vector<at::Tensor> held(end - begin);
    // Whatever may fail on one rank is done before any rank waits for a message.
    world.all_or_none([&] {
      for (std::size_t i = begin; i < end; ++i) {
        if (routes[i].from == world.rank())
          held[i - begin] = given(cargo, i);
        else if (routes[i].to == world.rank())
          held[i - begin] = at::empty_like(cargo.like);
      }
    });
    for (std::size_t i = begin; i < end; ++i) {
      const auto [from, to] = routes[i];
      if (from == to) continue;
      if (from == world.rank()) messages.send(held[i - begin], to);
      if (to != world.rank()) continue;
      messages.receive(held[i - begin], from);
      received += bytes;
    }
    messages.wait();
    world.all_or_none([&] {
      for (std::size_t i = begin; i < end; ++i) {
        if (routes[i].to == world.rank()) cargo.take(i, std::move(held[i - begin]));
      }
    });
  }
  return received;
}

}  // namespace rehyat::comm
