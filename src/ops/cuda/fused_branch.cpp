#include "ops/cuda/fused_branch.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "ops/cuda/key_side_kernel.h"
#include "ops/cuda/query_side_kernel.h"
#include "ops/cuda/readable.h"

namespace rehyat::ops {
namespace {

/// [X,A,M,W]; nothing where x is undefined.
cuda::BranchRows branch_rows(const at::Tensor& x) {
  if (!x.defined()) return {};
  TORCH_CHECK(is_readable(x), "fused branch: found strides ", x.strides(), " from ", x.storage_offset(),
              ", expected dense rows that begin at multiples of 16 bytes");
  return {const_cast<void*>(x.const_data_ptr()), x.stride(0), x.stride(1), x.stride(2)};
}

/// [X,A,M] in float32.
cuda::BranchValues branch_values(const at::Tensor& x) {
  if (!x.defined()) return {};
  TORCH_CHECK(x.scalar_type() == at::kFloat && (x.stride(2) == 1 || x.size(2) == 1), "fused branch: found strides ",
              x.strides(), " of ", x.scalar_type(), ", expected float32 side by side");
  return {const_cast<float*>(x.const_data_ptr<float>()), x.stride(0), x.stride(1)};
}

/// [A,X,F,C] in float32, each state dense.
cuda::BranchStates branch_states(const at::Tensor& x) {
  TORCH_CHECK(x.stride(3) == 1 && x.stride(2) == x.size(3) && x.scalar_type() == at::kFloat,
              "fused branch: found states with strides ", x.strides(), ", expected each dense");
  return {const_cast<float*>(x.const_data_ptr<float>()), x.stride(1), x.stride(0)};
}

/// Of rows [X,A,M,..].
cuda::BranchSizes branch_sizes(const at::Tensor& rows, std::int64_t features, std::int64_t width) {
  cuda::BranchSizes sizes;
  sizes.count = rows.size(0);
  sizes.heads = rows.size(1);
  sizes.rows = rows.size(2);
  sizes.features = static_cast<int>(features);
  sizes.width = static_cast<int>(width);
  sizes.processors = cuda::branch_processors();
  return sizes;
}

cuda::BlendRule rule_of_branches(std::optional<Normalizer> normalizer) {
  if (!normalizer) return cuda::BlendRule::linear;
  if (*normalizer == Normalizer::joint) return cuda::BlendRule::joint;
  return *normalizer == Normalizer::row_max ? cuda::BlendRule::row_max : cuda::BlendRule::lse;
}

void* branch_stream() {
  return c10::cuda::getCurrentCUDAStream().stream();
}

void branch_started(const char* problem) {
  TORCH_CHECK(problem == nullptr, "fused branch: a kernel could not be started: ", problem);
}

/// states [A,X,F,C] = phi' v of each rectangle; `weighted` as StateArguments has it.
void sum_states(const at::Tensor& states, const at::Tensor& phi, const at::Tensor& v, std::int64_t width,
                bool weighted) {
  cuda::StateArguments args;
  args.sizes = branch_sizes(phi, phi.size(3), width);
  args.phi = branch_rows(phi);
  args.v = branch_rows(v);
  args.weighted = weighted;
  args.splits = cuda::state_splits(args.sizes);
  at::Tensor parts;
  if (args.splits == 1) {
    args.states = branch_states(states);
  } else {
    parts = at::empty({args.splits, states.size(0), states.size(1), states.size(2), states.size(3)}, states.options());
    args.states = branch_states(parts[0]);
    args.split = parts.stride(0);
  }
  branch_started(cuda::launch_states(args, branch_stream()));
  if (parts.defined()) at::sum_out(const_cast<at::Tensor&>(states), parts, 0);
}

}  // namespace

bool has_fused_branch(const at::Tensor& phi, const at::Tensor& v) {
  const auto served = [](const at::Tensor& x) { return x.is_cuda() && x.scalar_type() == at::kBFloat16; };
  return served(phi) && served(v) && cuda::serves_branch(phi.size(-1), v.size(-1));
}

at::Tensor fused_states(const at::Tensor& phi, const at::Tensor& v, std::int64_t slices) {
  const c10::cuda::CUDAGuard guard(phi.device());
  const std::int64_t width = v.size(3), rows = v.size(2) / slices;
  const at::Tensor states =
      at::empty({phi.size(0), phi.size(1), slices, phi.size(3), width + 8}, phi.options().dtype(at::kFloat));
  const at::Tensor features = readable(phi), values = readable(v);
  const auto cut = [&](const at::Tensor& x) { return x.unflatten(1, {slices, rows}).transpose(0, 1); };
  for (std::int64_t b = 0; b < phi.size(0); ++b) sum_states(states[b], cut(features[b]), cut(values[b]), width, false);
  return states;
}

void fused_query_side(const QuerySide& in, std::optional<Normalizer> normalizer, const BlendTargets& out,
                      const at::Tensor& bad_rows) {
  const c10::cuda::CUDAGuard guard(in.phi.device());
  cuda::QuerySideArguments args;
  args.sizes = branch_sizes(in.phi, in.phi.size(3), out.y.size(3));
  args.rule = rule_of_branches(normalizer);
  args.phi = branch_rows(in.phi);
  args.o = branch_rows(in.o);
  args.y = branch_rows(out.y);
  args.states = branch_states(in.states);
  args.lse = branch_values(in.lse);
  args.row_max = branch_values(in.row_max);
  args.log_l = branch_values(out.log_l);
  // With joint log_z is log_l itself, and with lse unused.
  if (args.rule == cuda::BlendRule::row_max || args.rule == cuda::BlendRule::linear)
    args.log_z = branch_values(out.log_z);
  if (args.rule != cuda::BlendRule::joint) args.scale = branch_values(out.scale);
  args.bad_rows = bad_rows.data_ptr<std::int32_t>();
  branch_started(cuda::launch_query_side(args, branch_stream()));
}

void fused_query_gradients(const QueryUpstream& in, const at::Tensor& weighted, const at::Tensor& d_phi) {
  const c10::cuda::CUDAGuard guard(in.dy.device());
  cuda::QueryGradientArguments args;
  args.sizes = branch_sizes(in.dy, in.states.size(2), in.dy.size(3));
  args.dy = branch_rows(in.dy);
  args.y = branch_rows(in.y);
  args.weighted = branch_rows(weighted);
  args.d_phi = branch_rows(d_phi);
  args.states = branch_states(in.states);
  args.log_z = branch_values(in.log_z);
  args.scale = branch_values(in.scale);
  branch_started(cuda::launch_query_gradients(args, branch_stream()));
}

void fused_state_gradients(const at::Tensor& d_states, const at::Tensor& phi, const at::Tensor& weighted) {
  const c10::cuda::CUDAGuard guard(phi.device());
  sum_states(d_states, phi, weighted, weighted.size(3) - 8, true);
}

void fused_key_gradients(const at::Tensor& phi, const at::Tensor& v, const at::Tensor& d_states,
                         const at::Tensor& d_phi, const at::Tensor& d_v) {
  const c10::cuda::CUDAGuard guard(phi.device());
  cuda::KeyGradientArguments args;
  args.sizes = branch_sizes(v, phi.size(3), v.size(3));
  args.phi = branch_rows(phi);
  args.v = branch_rows(v);
  args.d_phi = branch_rows(d_phi);
  args.d_v = branch_rows(d_v);
  args.states = branch_states(d_states);
  branch_started(cuda::launch_key_gradients(args, branch_stream()));
}

}  // namespace rehyat::ops
