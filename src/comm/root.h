#pragma once

#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>

#include "comm/communicator.h"
#include "config/config.h"

/// Work of rank 0 alone: file systems of several machines need not show the same at the same time, so one rank looks
/// and all hear what it has seen.
namespace rehyat::comm {

/// Runs `work` on rank 0 while the others wait; where it throws, all ranks throw, as Communicator::all_or_none says.
/// Collective.
template <typename Work>
void on_root(const Communicator& world, Work&& work) {
  world.all_or_none([&] {
    if (world.rank() == 0) work();
  });
}

namespace detail {

/// Returns rank 0's value on every rank; the arguments of the others are not read. NaN, infinity and texts that are not
/// UTF-8 arrive as they are.
nlohmann::ordered_json broadcast_json(const nlohmann::ordered_json& value, const Communicator& world);

template <typename T>
nlohmann::ordered_json pack(const T& value) {
  if constexpr (requires(T copy, config::Fields & f) { copy.fields(f); }) {
    return config::to_json(value);
  } else {
    return value;
  }
}

template <typename T>
T unpack(const nlohmann::ordered_json& json) {
  if constexpr (requires(T value, config::Fields & f) { value.fields(f); }) {
    return config::from_json<T>(json, "what rank 0 sent");
  } else {
    return json.get<T>();
  }
}

}  // namespace detail

/// Returns on every rank what `look` returns on rank 0: a struct with fields(), or anything that JSON holds (numbers,
/// texts, lists, JSON itself). Where `look` throws, all ranks throw. Collective.
template <typename T, typename Look>
T from_root(const Communicator& world, Look&& look) {
  std::optional<T> seen;
  nlohmann::ordered_json packed;
  on_root(world, [&] {
    seen.emplace(look());
    if (world.size() > 1) packed = detail::pack(*seen);
  });
  if (world.size() == 1) return std::move(*seen);
  packed = detail::broadcast_json(packed, world);
  world.all_or_none([&] {
    if (world.rank() != 0) seen.emplace(detail::unpack<T>(packed));
  });
  return std::move(*seen);
}

}  // namespace rehyat::comm
