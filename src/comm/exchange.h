#pragma once

#include <ATen/ATen.h>

#include <cstdint>
#include <functional>
#include <vector>

#include "comm/communicator.h"

namespace rehyat::comm {

/// The way of one tensor: from the rank that has it to the rank that wants it, which may be the same.
struct Route {
  int from = 0, to = 0;
};

/// Tensors that change hands in one exchange; all of them have the shape and dtype of `like`, on the CPU, contiguous.
struct Cargo {
  at::Tensor like;
  /// Gives tensor i away; asked once, on routes[i].from.
  std::function<at::Tensor(std::size_t)> give;
  /// Receives tensor i; called once, on routes[i].to.
  std::function<void(std::size_t, at::Tensor)> take;
};

/// Sends each tensor along its route and to no other rank. Every rank passes the same routes. The tensors
/// are sent in the order of the routes, as many at once as keep every rank's messages within `bytes_at_once` (one at
/// least), so that the memory beside the tensors is bounded. Returns the bytes that this rank received from others.
/// Collective; an error in `give` or `take` on one rank ends all ranks. Throws UserError when the ranks disagree on
/// routes, shape or dtype.
std::int64_t exchange(const std::vector<Route>& routes, const Cargo& cargo, const Communicator& world,
                      std::int64_t bytes_at_once = std::int64_t{1} << 28);

}  // namespace rehyat::comm
