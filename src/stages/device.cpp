#include "stages/device.h"

#include "core/error.h"
#include "core/strings.h"

namespace rehyat::stages {

at::Device choose_device(const std::string& wanted, int gpus, int local_rank, int local_size) {
  require(wanted != "cuda" || gpus > 0, [] {
    return "run.device: found cuda, but no GPU can be used, expected one; use cpu, or install libtorch with CUDA "
           "(scripts/setup.sh --cuda)";
  });
  if (wanted == "cpu" || gpus == 0) return at::kCPU;
  require(local_size <= gpus, [&] {
    return cat("run.device: found ", local_size, " ranks on a machine with ", gpus, gpus == 1 ? " GPU" : " GPUs",
               ", expected at most one rank a GPU; start ", gpus, " ranks a machine, or use run.device=cpu");
  });
  return at::Device(at::kCUDA, static_cast<at::DeviceIndex>(local_rank));
}

}  // namespace rehyat::stages
