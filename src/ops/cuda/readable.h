#pragma once

#include <ATen/core/Tensor.h>

/// What the kernels of this folder that read 16 bytes at a time need of a tensor in a 16-bit type.
namespace rehyat::ops {

/// Whether its rows are dense and begin at multiples of 16 bytes.
inline bool is_readable(const at::Tensor& x) {
  bool fits = x.stride(-1) == 1 && x.storage_offset() % 8 == 0;
  for (std::int64_t i = 0; i + 1 < x.dim(); ++i) fits = fits && x.stride(i) % 8 == 0;
  return fits;
}

/// x itself where it is readable, else a copy.
inline at::Tensor readable(const at::Tensor& x) {
  return is_readable(x) ? x : x.contiguous();
}

}  // namespace rehyat::ops
