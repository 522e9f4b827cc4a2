#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "config/config.h"

namespace rehyat::stages {

class Run;
struct RunConfig;

/// What a run has, for a plan to compare with.
struct Machine {
  std::string device;              ///< that a rank computes on, for people
  bool gpu = false;                ///< else the ranks of this machine share its memory
  std::int64_t device_memory = 0;  ///< bytes
  std::int64_t host_memory = 0;    ///< bytes of this machine, or of the part of it that this process may use
  std::int64_t ranks = 1;          ///< on this machine
  std::optional<std::int64_t> disk_free = std::nullopt;  ///< bytes where the run's folder is; nothing: unknown

  void fields(config::Fields& f);
};

Machine machine_of(Run& run);

/// Bytes of memory that a rank may use: run.gpu_memory, or less where the GPU of that number has less; without GPUs
/// those of this machine.
std::int64_t device_memory(const RunConfig& run, std::int64_t gpu = 0);

/// The memory of this machine, or the limit of a control group (version 2) that this process is in.
std::int64_t host_memory();

}  // namespace rehyat::stages
