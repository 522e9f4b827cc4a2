#pragma once

namespace rehyat::models {

/// What a forward pass keeps of each block for its backward pass, where gradients are wanted. Gradients are the same
/// bit for bit: nothing in a block is random.
enum class Recompute {
  none,       ///< all that the backward pass needs
  selective,  ///< the block's inputs and what its self-attention has computed; the rest is run again
  full        ///< the block's inputs alone, from which all of it is run again: one more forward pass
};

}  // namespace rehyat::models
