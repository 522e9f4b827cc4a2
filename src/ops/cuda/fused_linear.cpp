#include "ops/cuda/fused_linear.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include "ops/cuda/linear_kernels.h"
#include "ops/cuda/readable.h"

namespace rehyat::ops {
namespace {

/// [B,A,N,D], or one sample [A,N,D] and rectangles [count,A,N,D], whose first dimension is the batch.
cuda::GradientLayout gradient_layout(const at::Tensor& x) {
  const std::int64_t d = x.dim();
  TORCH_CHECK(x.stride(d - 1) == 1, "fused linear branch: found strides ", x.strides(), ", expected dense rows");
  return {d == 4 ? x.stride(0) : 0, x.stride(d - 3), x.stride(d - 2)};
}

void gradients_started(const char* problem) {
  TORCH_CHECK(problem == nullptr, "fused linear branch: the kernel could not be started: ", problem);
}

const float* numbers(const at::Tensor& x) {
  return x.defined() ? x.const_data_ptr<float>() : nullptr;
}

}  // namespace

bool has_fused_linear(const at::Tensor& x) {
  return x.is_cuda() && x.scalar_type() == at::kBFloat16 && x.size(-1) % 8 == 0 && x.size(-1) <= 512;
}

at::Tensor fused_columns(const at::Tensor& v, std::int64_t columns) {
  const c10::cuda::CUDAGuard guard(v.device());
  const at::Tensor in = readable(v);
  at::Tensor out = at::empty({v.size(0), v.size(1), v.size(2), columns}, v.options());
  cuda::ColumnArguments args;
  args.samples = v.size(0);
  args.heads = v.size(1);
  args.rows = v.size(2);
  args.width = v.size(3);
  args.columns = columns;
  args.v = in.const_data_ptr();
  args.layout = gradient_layout(in);
  args.out = out.data_ptr();
  gradients_started(cuda::launch_columns(args, c10::cuda::getCurrentCUDAStream().stream()));
  return out;
}

at::Tensor fused_upstream(const at::Tensor& dy, const at::Tensor& y, const at::Tensor& log_z, const at::Tensor& scale,
                          std::int64_t columns) {
  const c10::cuda::CUDAGuard guard(dy.device());
  const at::Tensor g = readable(dy), out_y = readable(y);
  const at::Tensor z = log_z.defined() ? log_z.contiguous() : log_z, s = scale.defined() ? scale.contiguous() : scale;
  at::Tensor out = at::empty({dy.size(0), dy.size(1), dy.size(2), columns}, dy.options());
  cuda::UpstreamArguments args;
  args.samples = dy.size(0);
  args.heads = dy.size(1);
  args.rows = dy.size(2);
  args.width = dy.size(3);
  args.columns = columns;
  args.dy = g.const_data_ptr();
  args.y = out_y.const_data_ptr();
  args.dy_layout = gradient_layout(g);
  args.y_layout = gradient_layout(out_y);
  args.log_z = numbers(z);
  args.scale = numbers(s);
  args.out = out.data_ptr();
  gradients_started(cuda::launch_upstream(args, c10::cuda::getCurrentCUDAStream().stream()));
  return out;
}

void fused_fold(const at::Tensor& sum, const std::vector<RectangleGradients>& parts, const at::Tensor& more) {
  const c10::cuda::CUDAGuard guard(sum.device());
  TORCH_CHECK(parts.size() <= most_folded_batches(), "fused linear branch: found ", parts.size(),
              " batches of rectangles");
  std::vector<at::Tensor> held;
  cuda::FoldArguments args;
  args.heads = sum.size(0);
  args.keys = sum.size(1);
  args.width = sum.size(2);
  for (const RectangleGradients& part : parts) {
    held.push_back(readable(part.gradient));
    cuda::FoldSource& source = args.sources[args.source_count++];
    source = {part.where.k_begin, part.where.k_stride,          part.where.k_rows,
              part.where.count,   held.back().const_data_ptr(), gradient_layout(held.back())};
  }
  if (more.defined()) {
    held.push_back(readable(more));
    args.more = held.back().const_data_ptr();
    args.more_layout = gradient_layout(held.back());
  }
  args.out = sum.data_ptr();
  args.out_layout = gradient_layout(sum);
  gradients_started(cuda::launch_fold(args, c10::cuda::getCurrentCUDAStream().stream()));
}

std::size_t most_folded_batches() {
  return cuda::kMostFoldSources;
}

}  // namespace rehyat::ops
