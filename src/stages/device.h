#pragma once

#include <ATen/ATen.h>

#include <optional>
#include <string>

#include "comm/communicator.h"
#include "stages/config.h"

namespace rehyat::stages {

/// The device of a rank on a machine with `gpus` GPUs, for run.device = auto, cpu or cuda. Throws UserError where cuda
/// is asked for and there is none, or where the machine has more ranks than GPUs, which NCCL cannot serve.
at::Device choose_device(const std::string& wanted, int gpus, int local_rank, int local_size);

/// Whether a run works on GPUs, without claiming one: what a machine with GPUs would do can be asked for on one
/// without.
bool wants_gpu(const std::string& wanted);

/// The device that this rank computes on.
class RunDevice {
 public:
  /// Sets the threads of libtorch.
  RunDevice(const RunConfig& config, const comm::Communicator& world);
  /// The first call chooses it, since counting and dry runs need no GPU.
  at::Device get();
  /// Sets the threads that run.threads asks for once more, after work that changed their number.
  void set_threads() const;

 private:
  RunConfig config_;
  const comm::Communicator& world_;
  std::optional<at::Device> device_;
};

}  // namespace rehyat::stages
