#pragma once

#include <cuda_runtime.h>

namespace rehyat::ops::cuda {

/// `bytes` of dynamic shared memory for each block, and as many blocks of a processor as have room: left to itself the
/// driver may keep most of that memory as a cache.
template <typename Kernel>
cudaError_t allow_shared_memory(Kernel* kernel, int bytes) {
  const cudaError_t error = cudaFuncSetAttribute(kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, bytes);
  if (error != cudaSuccess) return error;
  return cudaFuncSetAttribute(kernel, cudaFuncAttributePreferredSharedMemoryCarveout, cudaSharedmemCarveoutMaxShared);
}

}  // namespace rehyat::ops::cuda
