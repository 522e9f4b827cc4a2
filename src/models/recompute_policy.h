#pragma once

#include <cstdint>
#include <string>

namespace rehyat::models {

/// What a forward pass keeps of each block for its backward pass, where gradients are wanted. Gradients are the same
/// bit for bit: nothing in a block is random.
enum class Recompute {
  none,       ///< all that the backward pass needs
  selective,  ///< the block's inputs and what its self-attention has computed; the rest is run again
  full        ///< the block's inputs alone, from which all of it is run again: one more forward pass
};

/// The policy of every block: the last ones, whose backward pass comes first and frees their memory for gradients, may
/// keep more than those before.
struct RecomputePlan {
  Recompute first = Recompute::none;
  Recompute last = Recompute::none;
  std::int64_t last_blocks = 0;

  RecomputePlan(Recompute all = Recompute::none) : first(all), last(all) {}
  RecomputePlan(Recompute before, Recompute of_last, std::int64_t count)
      : first(before), last(of_last), last_blocks(count) {}
  /// Of block `index` among `blocks`.
  Recompute of(std::int64_t index, std::int64_t blocks) const { return index >= blocks - last_blocks ? last : first; }
  /// How many of `blocks` have the policy.
  std::int64_t count(Recompute policy, std::int64_t blocks) const {
    return (first == policy ? blocks - last_blocks : 0) + (last == policy ? last_blocks : 0);
  }
  bool operator==(const RecomputePlan&) const = default;
};

/// "none", "selective" or "full".
std::string to_string(Recompute policy);
/// The same; of two policies "selective, none in the last 7 blocks".
std::string to_string(const RecomputePlan& plan);

}  // namespace rehyat::models
