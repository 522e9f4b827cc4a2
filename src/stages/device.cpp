#include "stages/device.h"

#include <ATen/Parallel.h>
#include <torch/cuda.h>

#include <algorithm>
#include <thread>

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

bool wants_gpu(const std::string& wanted) {
  return wanted == "cuda" || (wanted == "auto" && torch::cuda::is_available() && torch::cuda::device_count() > 0);
}

RunDevice::RunDevice(const RunConfig& config, const comm::Communicator& world) : config_(config), world_(world) {
  set_threads();
}

at::Device RunDevice::get() {
  if (!device_) {
    const auto gpus = torch::cuda::is_available() ? static_cast<int>(torch::cuda::device_count()) : 0;
    device_ = choose_device(config_.device, gpus, world_.local_rank(), world_.local_size());
  }
  return *device_;
}

void RunDevice::set_threads() const {
  const auto cores = static_cast<std::int64_t>(std::thread::hardware_concurrency());
  const std::int64_t wanted = config_.threads;
  at::set_num_threads(static_cast<int>(wanted > 0 ? wanted : std::max<std::int64_t>(cores / world_.local_size(), 1)));
}

}  // namespace rehyat::stages
