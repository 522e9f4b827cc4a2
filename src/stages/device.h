#pragma once

#include <ATen/ATen.h>

#include <string>

namespace rehyat::stages {

/// The device of a rank on a machine with `gpus` GPUs, for run.device = auto, cpu or cuda. Throws UserError where cuda
/// is asked for and there is none, or where the machine has more ranks than GPUs, which NCCL cannot serve.
at::Device choose_device(const std::string& wanted, int gpus, int local_rank, int local_size);

}  // namespace rehyat::stages
