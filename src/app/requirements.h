#pragma once

#include <nlohmann/json.hpp>
#include <string>

#include "stages/experiment.h"

namespace rehyat::app {

/// What a stage would need, for --dry-run: disk_bytes (for prepare and cache also of one window or prompt, where their
/// number is only known later), memory_per_gpu, for sample
/// state_and_ring_bytes, tflops (10^12 FLOP, 2 a multiply-add) and gpu_hours at
/// run.gpu_tflops. Stages: prepare, pretrain, cache, distill, finetune, sample, export. Reads no video and no weights.
/// Where a stage needs more memory than there is (run.gpu_memory; on CPUs this machine's), "warning" says so, and the
/// log as well.
nlohmann::ordered_json requirements(stages::Experiment& experiment, const std::string& stage);

}  // namespace rehyat::app
