#pragma once

#include <ATen/core/Tensor.h>
#include <c10/cuda/CUDAStream.h>

#include "ops/cuda/row_kernels.h"

/// From libtorch's tensors to the arguments of row_kernels.h.
namespace rehyat::ops {

inline bool is_row_type(at::ScalarType type) {
  return type == at::kFloat || type == at::kBFloat16 || type == at::kHalf;
}

inline cuda::RowType row_type(at::ScalarType type) {
  if (type == at::kBFloat16) return cuda::RowType::bf16;
  return type == at::kHalf ? cuda::RowType::f16 : cuda::RowType::f32;
}

inline void* row_stream() {
  return c10::cuda::getCurrentCUDAStream().stream();
}

inline void row_started(const char* problem, const char* what) {
  TORCH_CHECK(problem == nullptr, what, ": the kernel could not be started: ", problem);
}

/// x itself where its rows are dense and every one begins at a multiple of 16 bytes, else a dense copy.
inline at::Tensor readable_rows(const at::Tensor& x) {
  bool fits = x.stride(-1) == 1 && reinterpret_cast<std::uintptr_t>(x.const_data_ptr()) % 16 == 0;
  for (std::int64_t i = 0; i + 1 < x.dim(); ++i) fits = fits && (x.stride(i) % 8 == 0 || x.size(i) == 1);
  return fits ? x : x.clone(at::MemoryFormat::Contiguous);
}

/// A dense copy where x is not dense itself, at a multiple of 16 bytes.
inline at::Tensor dense_rows(const at::Tensor& x) {
  return readable_rows(x.contiguous());
}

}  // namespace rehyat::ops
