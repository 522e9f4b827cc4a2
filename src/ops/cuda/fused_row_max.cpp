#include "ops/cuda/fused_row_max.h"

#include <ATen/ATen.h>
#include <c10/cuda/CUDAGuard.h>
#include <c10/cuda/CUDAStream.h>

#include <algorithm>
#include <cmath>

#include "ops/cuda/readable.h"
#include "ops/cuda/row_max_kernel.h"

namespace rehyat::ops {
namespace {

/// `first` and `step`: the rows of x [B,A,N,D] where the first rectangle begins and from one to the next.
void place_rows(const at::Tensor& x, std::int64_t first, std::int64_t step, const void*& data,
                cuda::ScoreLayout& layout) {
  data = static_cast<const char*>(x.const_data_ptr()) + first * x.stride(2) * x.element_size();
  layout = {x.stride(0), step * x.stride(2), x.stride(1), x.stride(2)};
}

}  // namespace

bool has_fused_row_max(const at::Tensor& q) {
  const bool half = q.scalar_type() == at::kBFloat16 || q.scalar_type() == at::kHalf;
  return q.is_cuda() && half && q.size(-1) % 8 == 0 && q.size(-1) <= 128 && q.size(-1) > 0;
}

void fused_row_max(const at::Tensor& out, const at::Tensor& q, const at::Tensor& k,
                   const std::vector<RectangleBatch>& batches) {
  const c10::cuda::CUDAGuard guard(q.device());
  const at::Tensor queries = readable(q), keys = readable(k);
  TORCH_CHECK(out.is_contiguous() && out.scalar_type() == at::kFloat, "fused row maxima: found results with strides ",
              out.strides(), ", expected a contiguous tensor in float32");
  // The longest rows first, so that the device is busy until the end.
  std::vector<RectangleBatch> sorted = batches;
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const RectangleBatch& a, const RectangleBatch& b) { return a.k_rows > b.k_rows; });
  cuda::RowMaxArguments args;
  args.samples = q.size(0);
  args.heads = q.size(1);
  args.width = q.size(3);
  args.out_stride = out.size(2);
  args.bf16 = q.scalar_type() == at::kBFloat16;
  args.scale = static_cast<float>(1 / std::sqrt(static_cast<double>(q.size(3))));
  for (std::size_t i = 0; i < sorted.size(); ++i) {
    const RectangleBatch& from = sorted[i];
    cuda::ScoreRectangles& to = args.batches[args.batch_count++];
    to.count = from.count;
    to.q_rows = from.q_rows;
    to.k_rows = from.k_rows;
    to.out_rectangle = from.q_stride;
    place_rows(queries, from.q_begin, from.q_stride, to.q, to.q_layout);
    place_rows(keys, from.k_begin, from.k_stride, to.k, to.k_layout);
    to.out = out.data_ptr<float>() + from.q_begin;
    if (args.batch_count < cuda::kMostScoreBatches && i + 1 < sorted.size()) continue;
    const char* problem = cuda::launch_row_max(args, c10::cuda::getCurrentCUDAStream().stream());
    TORCH_CHECK(problem == nullptr, "fused row maxima: the kernel could not be started: ", problem);
    args.batch_count = 0;
  }
}

}  // namespace rehyat::ops
