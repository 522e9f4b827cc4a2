#pragma once

#include "ops/cuda/blend_kernel.h"
#include "ops/cuda/branch_rows.h"

/// The query side of hybrid attention as one CUDA kernel in bfloat16 each way: the product of features with the states,
/// float32 sums, and the blend of both branches (ops/blend.h) behind it. The sums never touch memory.
namespace rehyat::ops::cuda {

/// y = the blend of o (weight by lse) and phi [S | z], each rectangle and head with its state.
struct QuerySideArguments {
  BranchSizes sizes;
  BlendRule rule = BlendRule::joint;
  BranchRows phi, o, y;
  BranchStates states;
  BranchValues lse, row_max;         ///< as the rule needs them; o and lse not with the rule `linear`
  BranchValues log_l, log_z, scale;  ///< written, each may be null
  std::int32_t* bad_rows = nullptr;  ///< as BlendArguments has it
};

/// Each starts a kernel on `stream` (a cudaStream_t). Returns nullptr, or CUDA's message where it could not be started.
const char* launch_query_side(const QuerySideArguments& arguments, void* stream);

/// weighted [.., width + 8] = w [dy | -(y . dy) | 0] with w = scale exp(min(-log_z, 80)), where a null factor is 1, and
/// d_phi = weighted [S | z]'.
struct QueryGradientArguments {
  BranchSizes sizes;
  BranchRows dy, y, weighted;
  BranchRows d_phi;  ///< may be null
  BranchStates states;
  BranchValues log_z, scale;
};
const char* launch_query_gradients(const QueryGradientArguments& arguments, void* stream);

}  // namespace rehyat::ops::cuda
