#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "analysis/memory.h"
#include "config/config.h"
#include "core/table.h"
#include "stages/machine.h"

namespace rehyat::stages {

struct RunConfig;

/// 10^12 FLOP, 2 a multiply-add, and the hours of one GPU that sustains run.gpu_tflops.
struct Work {
  double tflops = 0, gpu_hours = 0;
};

/// Bytes on one GPU (or, on CPUs, of one rank).
struct MemoryNeeds {
  std::int64_t weights = 0, gradients = 0, optimizer = 0, activations = 0, total = 0;

  MemoryNeeds() = default;
  MemoryNeeds(const analysis::MemoryEstimate& estimate);
  void fields(config::Fields& f);
};

/// What one bucket's windows take on the disk.
struct BucketNeeds {
  std::vector<std::int64_t> size;  ///< height, width
  std::int64_t frames = 0, disk_bytes_per_window = 0;
  void fields(config::Fields& f);
};

/// What a stage would need, for --dry-run. What does not apply to a stage, or is not known before it runs, is absent.
struct Needs {
  std::optional<std::string> model;  ///< of the run, by name
  std::optional<std::int64_t> model_parameters, phi_parameters;
  std::optional<std::int64_t> steps, steps_per_video;  ///< as the log and the progress count them
  std::optional<double> tflops_per_step;
  std::optional<std::int64_t> prompts, quota_prompts;  ///< of the cache; as many as its quota holds
  std::optional<std::int64_t> disk_bytes, disk_bytes_per_window, disk_bytes_per_prompt;
  std::vector<BucketNeeds> buckets;
  std::optional<std::int64_t> quota_bytes;
  std::optional<MemoryNeeds> memory_per_gpu;
  std::optional<std::string> recompute;              ///< of training: "none", "selective" or "full"
  std::optional<std::int64_t> model_bytes;           ///< of weights that are only run
  std::optional<std::int64_t> state_and_ring_bytes;  ///< of chunk-by-chunk sampling
  std::optional<std::int64_t> text_bytes;            ///< of sampling: what depends on its texts alone
  std::optional<std::int64_t> memory_of_points;      ///< of online distillation, over all ranks
  std::optional<std::int64_t> host_memory_bytes;
  std::optional<std::string> form;      ///< of sampling
  std::optional<bool> constant_memory;  ///< sampled chunk by chunk
  std::optional<std::int64_t> videos;
  std::optional<bool> control_complete;  ///< whether the report can compare with the control
  std::optional<Work> work, work_per_prompt, work_per_video;
  std::vector<std::string> warnings;         ///< what would not fit
  std::string smaller_memory, smaller_disk;  ///< the settings to lower where something does not fit, for warnings

  void fields(config::Fields& f);
  void warn(const std::string& text) { warnings.push_back(text); }
  /// Bytes of memory that one rank's device has to have, as far as they are known.
  std::int64_t memory() const;
  /// For people, warnings first; what is absent is left out.
  void tell(TextList& list, const Machine& machine) const;
};

Work work_of(double tflops, const RunConfig& run);

/// Adds a warning for each of memory and disk that the machine has less of than the stage needs. `disk_before`: bytes
/// that the stages before it will write; nothing where the disk is compared elsewhere.
void compare(Needs& needs, const Machine& machine, const std::string& stage, std::optional<std::int64_t> disk_before);

}  // namespace rehyat::stages
