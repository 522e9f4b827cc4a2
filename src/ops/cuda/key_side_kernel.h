#pragma once

#include "ops/cuda/branch_rows.h"

/// The key side of hybrid attention's linear branch in bfloat16 with float32 sums.
namespace rehyat::ops::cuda {

/// states = phi' [v | 1 | 0], summed over the rows of each rectangle and head. With `weighted`, v has eight more
/// columns and stands for [v | 1 | 0] itself. Rows are cut into `splits` parts, whose sums are added by the caller:
/// part s of rectangle i goes to states.data + s * split.
struct StateArguments {
  BranchSizes sizes;
  BranchRows phi, v;
  bool weighted = false;
  BranchStates states;  ///< written
  std::int64_t splits = 1, split = 0;
};

/// How many parts keep the device busy until the end; the sums of each cost a little.
std::int64_t state_splits(const BranchSizes& sizes);

/// Each starts a kernel on `stream` (a cudaStream_t). Returns nullptr, or CUDA's message where it could not be started.
const char* launch_states(const StateArguments& arguments, void* stream);

/// d_phi = [v | 1] dS' and d_v = phi dS, dS (with dz beside it) of each rectangle and head in `states`.
struct KeyGradientArguments {
  BranchSizes sizes;
  BranchRows phi, v, d_phi;
  BranchRows d_v;  ///< may be null, then phi is not read
  BranchStates states;
};
const char* launch_key_gradients(const KeyGradientArguments& arguments, void* stream);

}  // namespace rehyat::ops::cuda
